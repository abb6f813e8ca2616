#pragma once
// Unigram (SentencePiece's, of T5 and XLM-R): of all ways to cut a word into tokens, the one whose scores have the largest sum. A
// character that is no token costs ten more than the worst one; a run of such characters is one unknown token, or its bytes'.
// A word costs its length times the longest token's, at most.
#include <optional>
#include <string_view>
#include <vector>

#include "graft/text/byte_fallback.h"
#include "graft/text/byte_trie.h"
#include "graft/text/token_model.h"

namespace graft {

class Unigram : public TokenModel {
 public:
  explicit Unigram(const TokenizerJson& model);
  void encode(std::string_view word, std::vector<TokenPiece>& out) const override;

 private:
  /// The last token of the best way to a place in the word.
  struct Step {
    double score = 0;  // of the whole way
    uint32_t begin = none;
    int32_t id = 0;
    static constexpr uint32_t none = UINT32_MAX;
  };
  std::vector<Step> best_ways(std::string_view word) const;
  void append_unknown(std::string_view run, std::vector<TokenPiece>& out) const;

  std::vector<double> scores_;
  double unknown_score_ = 0;
  std::optional<int32_t> unknown_;
  std::optional<ByteFallback> fallback_;
  ByteTrie trie_;
};

}  // namespace graft
