#pragma once
// Some tokens' vectors trained, beside any method: an embedding's rows, and an untied head's, take the adapter's values in their
// place. PEFT's trainable tokens (`trainable_token_indices`): a value replaces the base's, so it does not matter what stood in a
// row that was grown.
#include <vector>

#include "graft/nn/site.h"

namespace graft {

class TokenRows : public Adapter {
 public:
  /// tokens: ids in [0, rows of the site's weight), each once. The site is an embedding of words or a head.
  TokenRows(const Site& site, const std::vector<int>& tokens);
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override;
  bool ties_head() const override { return true; }
  Tensor predict_tied(const Tensor& hidden, const Site& head) const override {
    return with_columns(head.frozen(hidden), hidden, head.bias());
  }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override;

 private:
  /// Logits [.., vocabulary] with the tokens' own in their columns.
  Tensor with_columns(const Tensor& logits, const Tensor& hidden, const Tensor& bias) const;
  Tensor embedded(const Tensor& ids, const Frozen& base) const;

  Tensor rows_;    // fp32 [tokens, dim]; PEFT's name: token_adapter.trainable_tokens_delta
  Tensor tokens_;  // int64 [tokens]
  Tensor slot_;    // int64 [vocabulary]: which of the rows a token has, -1: none
};

}  // namespace graft
