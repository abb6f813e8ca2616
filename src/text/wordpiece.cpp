#include "graft/text/wordpiece.h"

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr std::string_view where = "model";
constexpr int64_t word_limit = 1000;  // a hostile vocabulary makes a word cost the square of its length

std::string replaced(const std::string& text, std::string_view from, std::string_view to) {
  size_t found = text.find(from), done = 0;
  if (found == std::string::npos) return text;
  std::string out;
  for (; found != std::string::npos; found = text.find(from, done)) {
    out.append(text, done, found - done).append(to);
    done = found + from.size();
  }
  return out.append(text, done);
}

}  // namespace

WordPiece::WordPiece(const TokenizerJson& model) : TokenModel(model), trie_(bytes_of_tokens()) {
  const std::string unknown = need_string(model, "unk_token", where);
  const auto unknown_id = token_to_id(unknown);
  require(unknown_id.has_value(), "{}: unk_token '{}' is not in the vocabulary", where, unknown);
  unknown_ = *unknown_id;
  const TokenizerJson& longest = need_field(model, "max_input_chars_per_word", where);
  longest_word_ = static_cast<size_t>(as_count(longest, "max_input_chars_per_word", word_limit, where));
  for (int32_t id = 0; id < id_end(); ++id)
    if (const std::string_view token = id_to_token(id); !token.empty()) trie_.add(token, id);
  continuing_ = trie_.walk(ByteTrie::root, need_string(model, "continuing_subword_prefix", where));
}

/// Reads no more of the word than the limit, whatever its length.
bool WordPiece::is_too_long(std::string_view word) const {
  size_t at = 0;
  for (size_t count = 0; at < word.size(); ++count) {
    if (count == longest_word_) return true;
    next_code_point(word, at);
  }
  return false;
}

void WordPiece::encode(std::string_view word, std::vector<TokenPiece>& out) const {
  const size_t first = out.size();
  const TokenPiece whole{unknown_, static_cast<uint32_t>(word.size())};
  if (is_too_long(word)) return out.push_back(whole);
  for (size_t begin = 0; begin < word.size();) {
    TokenPiece longest{unknown_, 0};
    uint32_t node = begin == 0 ? ByteTrie::root : continuing_;
    for (size_t i = begin; i < word.size() && node != ByteTrie::none; ++i) {
      node = trie_.step(node, word[i]);
      if (node != ByteTrie::none && trie_.value(node) >= 0) longest = {trie_.value(node), static_cast<uint32_t>(i + 1 - begin)};
    }
    if (longest.length == 0) {
      out.resize(first);
      return out.push_back(whole);
    }
    out.push_back(longest);
    begin += longest.length;
  }
}

std::string tidy_english(const std::string& text) {
  static constexpr std::pair<const char*, const char*> tidied[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  std::string tidy = text;
  for (const auto& [from, to] : tidied) tidy = replaced(tidy, from, to);
  return tidy;
}

void join_wordpieces(std::vector<std::string>& tokens, const std::string& prefix, bool cleanup) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    if (i > 0 && token.starts_with(prefix)) {
      token.erase(0, prefix.size());
    } else if (i > 0) {
      token.insert(0, 1, ' ');
    }
    if (cleanup) token = tidy_english(token);
  }
}

}  // namespace graft
