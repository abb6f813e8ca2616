#include "graft/text/normalizer.h"

#include "edit_characters.h"
#include "graft/text/pretokenizer.h"
#include "graft/text/regex.h"

namespace graft {
namespace {

constexpr int depth_limit = 8;

void lowercase(AlignedText& text) { edit_characters(text, append_lowercase); }

void strip_accents(AlignedText& text) {
  edit_characters(text, [](std::string& out, char32_t c) {
    if (!is_combining_mark(c)) append_utf8(out, c);
  });
}

void spell_in_bytes(AlignedText& text) {
  std::vector<TextEdit> edits;
  for (size_t i = 0; i < text.text().size(); ++i) {
    std::string spelled = spell_bytes(text.text().substr(i, 1));
    if (spelled != text.text().substr(i, 1)) edits.push_back({i, i + 1, std::move(spelled)});
  }
  text.apply(edits);
}

void strip(AlignedText& text, bool left, bool right) {
  const std::string_view old = text.text();
  size_t begin = 0, end = old.size();
  for (size_t i = 0; left && i < old.size() && is_white_space(next_code_point(old, i));) begin = i;
  for (size_t i = end; right && i > begin && is_white_space(previous_code_point(old, i));) end = i;
  std::vector<TextEdit> edits;
  if (begin > 0) edits.push_back({0, begin, ""});
  if (end < old.size()) edits.push_back({end, old.size(), ""});
  text.apply(edits);
}

void replace(AlignedText& text, const Regex& pattern, const std::string& content) {
  std::vector<TextSpan> spans;
  pattern.find_all(text.text(), spans);
  std::vector<TextEdit> edits;
  for (const TextSpan& span : spans)
    if (span.is_match) edits.push_back({span.begin, span.end, content});
  text.apply(edits);
}

}  // namespace

Normalizer::Normalizer(const TokenizerJson& json) { add(json, "normalizer", 0); }

void Normalizer::add(const TokenizerJson& json, const std::string& where, int depth) {
  const std::string type = type_of(json, where);
  const auto normal = [&](NormalForm form) {
    steps_.emplace_back([form](AlignedText& text) { text.apply(normal_form_edits(text.text(), form)); });
  };
  if (type == "NFC") return normal(NormalForm::nfc);
  if (type == "NFD") return normal(NormalForm::nfd);
  if (type == "NFKC") return normal(NormalForm::nfkc);
  if (type == "NFKD") return normal(NormalForm::nfkd);
  if (type == "Lowercase") return void(steps_.emplace_back(lowercase));
  if (type == "StripAccents") return void(steps_.emplace_back(strip_accents));
  if (type == "BertNormalizer") return void(steps_.push_back(bert_normalizer(json, where)));
  if (type == "Precompiled") return void(steps_.push_back(precompiled_normalizer(json, where)));
  if (type == "Nmt") return void(steps_.emplace_back(nmt_normalize));
  if (type == "ByteLevel") return void(steps_.emplace_back(spell_in_bytes));
  if (type == "Strip") {
    const bool left = bool_field(json, "strip_left", true, where), right = bool_field(json, "strip_right", true, where);
    steps_.emplace_back([=](AlignedText& text) { strip(text, left, right); });
  } else if (type == "Prepend") {
    steps_.emplace_back([prefix = need_string(json, "prepend", where)](AlignedText& text) {
      if (!text.text().empty()) text.apply({{0, 0, prefix}});
    });
  } else if (type == "Replace") {
    steps_.emplace_back([pattern = pattern_field(json, where), content = need_string(json, "content", where)](AlignedText& text) {
      replace(text, pattern, content);
    });
  } else if (type == "Sequence") {
    require(depth < depth_limit, "{}: Sequences nested deeper than {}", where, depth_limit);
    const TokenizerJson& list = need_list(json, "normalizers", where);
    for (size_t i = 0; i < list.size(); ++i) add(list[i], fmt::format("{}.normalizers[{}]", where, i), depth + 1);
  } else {
    refuse("{}: graft does not do the normalizer '{}'", where, type);
  }
}

}  // namespace graft
