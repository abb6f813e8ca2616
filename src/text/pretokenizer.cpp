#include "graft/text/pretokenizer.h"

#include <map>

#include "graft/text/split.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr int depth_limit = 8;
constexpr std::string_view gpt2_words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view plain_words = "[\\w\\u200c\\u200d]+|[^\\w\\s\\u200c\\u200d]+";  // the oracle's \w has the joiners

SplitBehavior behavior_of(const std::string& name, std::string_view where) {
  static const std::map<std::string, SplitBehavior> known{{"Removed", SplitBehavior::removed},
                                                          {"Isolated", SplitBehavior::isolated},
                                                          {"Contiguous", SplitBehavior::contiguous},
                                                          {"MergedWithPrevious", SplitBehavior::merged_with_previous},
                                                          {"MergedWithNext", SplitBehavior::merged_with_next}};
  const auto found = known.find(name);
  require(found != known.end(), "{}: unknown behavior '{}'", where, name);
  return found->second;
}

std::function<void(Words&)> splitter(Finder find, SplitBehavior behavior) {
  return [find = std::move(find), behavior](Words& words) { split_words(words, find, behavior); };
}

char32_t single_character(const std::string& text, const char* key, std::string_view where) {
  size_t end = 0;
  const char32_t c = text.empty() ? 0 : next_code_point(text, end);
  require(!text.empty() && end == text.size(), "{}: '{}' must be one character, not '{}'", where, key, text);
  return c;
}

size_t word_length(const TokenizerJson& json, std::string_view where) {
  const TokenizerJson* field = find_field(json, "length");
  const auto length = static_cast<size_t>(field ? as_count(*field, "length", INT32_MAX, where) : 5);
  require(length > 0, "{}: 'length' must not be 0", where);
  return length;
}

void prepend_space(Words& words) {
  edit_words(words, [](std::string_view word, size_t begin, std::vector<TextEdit>& edits) {
    if (!word.starts_with(' ')) edits.push_back({begin, begin, " "});
  });
}

void spell_words_in_bytes(Words& words) {
  edit_words(words, [](std::string_view word, size_t begin, std::vector<TextEdit>& edits) {
    for (size_t i = 0; i < word.size(); ++i)
      if (std::string spelled = spell_bytes(word.substr(i, 1)); spelled != word.substr(i, 1))
        edits.push_back({begin + i, begin + i + 1, std::move(spelled)});
  });
}

enum class PrependScheme { always, first, never };

PrependScheme prepend_scheme(const TokenizerJson& json, std::string_view where) {
  const auto scheme = find_string(json, "prepend_scheme", where);
  const bool legacy_prefix = bool_field(json, "add_prefix_space", true, where);  // the key of older files
  if (!scheme) return legacy_prefix ? PrependScheme::always : PrependScheme::never;
  require(*scheme == "always" || *scheme == "first" || *scheme == "never", "{}: unknown prepend_scheme '{}'", where, *scheme);
  return *scheme == "always" ? PrependScheme::always : *scheme == "first" ? PrependScheme::first : PrependScheme::never;
}

std::function<void(Words&)> metaspace(const TokenizerJson& json, std::string_view where) {
  const std::string mark = need_string(json, "replacement", where);
  const char32_t mark_character = single_character(mark, "replacement", where);
  const PrependScheme scheme = prepend_scheme(json, where);
  const bool split = bool_field(json, "split", true, where);
  return [=](Words& words) {
    const AlignedText& text = words.text;
    edit_words(words, [&](std::string_view word, size_t begin, std::vector<TextEdit>& edits) {
      const bool wanted =
          scheme == PrependScheme::always ||
          (scheme == PrependScheme::first && (begin == 0 ? text.origin() : text.source(begin, begin + 1).begin) == 0);
      if (wanted && !word.starts_with(' ') && !word.starts_with(mark)) edits.push_back({begin, begin, mark});
      for (size_t i = word.find(' '); i != std::string_view::npos; i = word.find(' ', i + 1))
        edits.push_back({begin + i, begin + i + 1, mark});
    });
    if (split) split_words(words, find_character(mark_character), SplitBehavior::merged_with_next);
  };
}

}  // namespace

Regex pattern_field(const TokenizerJson& json, std::string_view where) {
  const TokenizerJson& pattern = need_field(json, "pattern", where);
  if (pattern.is_string()) return Regex::literal(pattern.get<std::string>());
  require(pattern.is_object() && pattern.size() == 1, "{}: 'pattern' must be {{\"String\": ...}} or {{\"Regex\": ...}}", where);
  if (pattern.contains("String")) return Regex::literal(need_string(pattern, "String", where));
  return Regex::compile(need_string(pattern, "Regex", where), where);
}

PreTokenizer::PreTokenizer(const TokenizerJson& json) { add(json, "pre_tokenizer", 0, true); }

void PreTokenizer::add(const TokenizerJson& json, const std::string& where, int depth, bool is_last) {
  const std::string type = type_of(json, where);
  const auto split = [&](Finder find, SplitBehavior behavior) { steps_.push_back(splitter(std::move(find), behavior)); };
  if (type == "ByteLevel") {
    if (bool_field(json, "add_prefix_space", true, where)) steps_.emplace_back(prepend_space);
    if (bool_field(json, "use_regex", true, where))
      split(find_regex(Regex::compile(gpt2_words, where), false), SplitBehavior::isolated);
    if (!is_last) steps_.emplace_back(spell_words_in_bytes);
    leaves_bytes_ = is_last;
  } else if (type == "Metaspace") {
    steps_.push_back(metaspace(json, where));
  } else if (type == "Split") {
    split(find_regex(pattern_field(json, where), bool_field(json, "invert", false, where)),
          behavior_of(need_string(json, "behavior", where), where));
  } else if (type == "Digits") {
    const bool single = bool_field(json, "individual_digits", false, where);
    split(find_characters(is_numeric), single ? SplitBehavior::isolated : SplitBehavior::contiguous);
  } else if (type == "Punctuation") {
    split(find_characters(is_punctuation), behavior_of(find_string(json, "behavior", where).value_or("Isolated"), where));
  } else if (type == "BertPreTokenizer") {
    split(find_characters(is_white_space), SplitBehavior::removed);
    split(find_characters(is_punctuation), SplitBehavior::isolated);
  } else if (type == "Whitespace") {
    split(find_regex(Regex::compile(plain_words, where), true), SplitBehavior::removed);
  } else if (type == "WhitespaceSplit") {
    split(find_characters(is_white_space), SplitBehavior::removed);
  } else if (type == "CharDelimiterSplit") {
    split(find_character(single_character(need_string(json, "delimiter", where), "delimiter", where)), SplitBehavior::removed);
  } else if (type == "UnicodeScripts") {
    steps_.emplace_back(split_at_scripts);
  } else if (type == "FixedLength") {
    steps_.emplace_back([length = word_length(json, where)](Words& words) { split_by_length(words, length); });
  } else if (type == "Sequence") {
    require(depth < depth_limit, "{}: Sequences nested deeper than {}", where, depth_limit);
    const TokenizerJson& list = need_list(json, "pretokenizers", where);
    for (size_t i = 0; i < list.size(); ++i)
      add(list[i], fmt::format("{}.pretokenizers[{}]", where, i), depth + 1, is_last && i + 1 == list.size());
  } else {
    refuse("{}: graft does not do the pre-tokenizer '{}'", where, type);
  }
}

}  // namespace graft
