#pragma once
// WordPiece: the longest token at the front of a word, then the longest of those with the continuing prefix, and so on. A word
// that does not come out, or is too long, is one unknown token. A word's cost is bounded by its length times the longest token's.
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/token_model.h"

namespace graft {

/// Strings by their bytes: open addressing, for this is the innermost look-up.
class ByteTrie {
 public:
  /// `bytes`: at least as many as all strings have together.
  explicit ByteTrie(size_t bytes);
  static constexpr uint32_t root = 0, none = UINT32_MAX;

  void add(std::string_view text, int32_t value);
  uint32_t step(uint32_t node, char byte) const;
  uint32_t walk(uint32_t node, std::string_view text) const;
  int32_t value(uint32_t node) const { return values_[node]; }  // -1: no string ends here

 private:
  struct Edge {
    uint64_t key = ~uint64_t{0};
    uint32_t node = none;
  };
  size_t slot(uint64_t key) const;
  std::vector<Edge> edges_;
  std::vector<int32_t> values_{-1};
};

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

/// The decoder: words get a space before them, continuing tokens lose their prefix. `cleanup` takes out the space before
/// punctuation and English contractions.
void join_wordpieces(std::vector<std::string>& tokens, const std::string& prefix, bool cleanup);

}  // namespace graft
