#pragma once
// WordPiece: the longest token at the front of a word, then the longest of those with the continuing prefix, and so on. A word
// that does not come out, or is too long, is one unknown token. A word's cost is bounded by its length times the longest token's.
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/byte_trie.h"
#include "graft/text/token_model.h"

namespace graft {

class WordPiece : public TokenModel {
 public:
  explicit WordPiece(const TokenizerJson& model);
  void encode(std::string_view word, std::vector<TokenPiece>& out) const override;

 private:
  bool is_too_long(std::string_view word) const;
  ByteTrie trie_;
  uint32_t continuing_ = ByteTrie::none;  // where the prefix leads: what follows are the continuing tokens
  int32_t unknown_ = 0;
  size_t longest_word_ = 0;  // in characters
};

/// What the decoders' `cleanup` does: no space before punctuation and English contractions.
std::string tidy_english(const std::string& text);

/// The decoder: words get a space before them, continuing tokens lose their prefix.
void join_wordpieces(std::vector<std::string>& tokens, const std::string& prefix, bool cleanup);

}  // namespace graft
