#include "graft/text/wordpiece.h"

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr std::string_view where = "model";
constexpr int64_t word_limit = 1000;  // a hostile vocabulary makes a word cost the square of its length

size_t bytes_of_vocabulary(const TokenModel& model) {
  size_t bytes = 0;
  for (int32_t id = 0; id < model.id_end(); ++id) bytes += model.id_to_token(id).size();
  return bytes;
}

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

ByteTrie::ByteTrie(size_t bytes) {
  size_t size = 16;
  while (size < 2 * bytes) size *= 2;
  edges_.resize(size);
}

/// Where the key is, or would be.
size_t ByteTrie::slot(uint64_t key) const {
  const size_t mask = edges_.size() - 1;
  size_t at = (key * 0x9E3779B97F4A7C15ULL >> 20) & mask;
  while (edges_[at].node != none && edges_[at].key != key) at = (at + 1) & mask;
  return at;
}

uint32_t ByteTrie::step(uint32_t node, char byte) const {
  return edges_[slot(uint64_t{node} << 8 | static_cast<unsigned char>(byte))].node;
}

uint32_t ByteTrie::walk(uint32_t node, std::string_view text) const {
  for (size_t i = 0; i < text.size() && node != none; ++i) node = step(node, text[i]);
  return node;
}

void ByteTrie::add(std::string_view text, int32_t value) {
  uint32_t node = root;
  for (const char byte : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(byte);
    Edge& edge = edges_[slot(key)];
    if (edge.node == none) {
      edge = {key, static_cast<uint32_t>(values_.size())};
      values_.push_back(-1);
    }
    node = edge.node;
  }
  values_[node] = value;
}

WordPiece::WordPiece(const TokenizerJson& model) : TokenModel(model), trie_(bytes_of_vocabulary(*this)) {
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

void join_wordpieces(std::vector<std::string>& tokens, const std::string& prefix, bool cleanup) {
  static constexpr std::pair<const char*, const char*> tidied[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    if (i > 0) token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
    if (!cleanup) continue;
    for (const auto& [from, to] : tidied) token = replaced(token, from, to);
  }
}

}  // namespace graft
