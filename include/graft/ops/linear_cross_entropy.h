#pragma once
// Cross-entropy straight from hidden states: logits exist a chunk of rows at a time (the head is never kept, see Wijmans et al. 2024,
// "Cut your losses", for why they dominate memory). In fp32 from the logits on.
#include <functional>

#include "graft/core/tensor.h"

namespace graft {

/// A product with 256,000 words takes a fifth longer in chunks of 1,024 (docs/performance.md).
inline constexpr int64_t loss_chunk_rows = 2048;

/// A frozen head's two products: h -> h W^T (logits) and g -> g W.
struct FrozenHead {
  std::function<Tensor(const Tensor&)> logits, gradient;
};

/// sum over rows of -log softmax(hidden W^T)[target] * scale, a scalar fp32 (fp64 for fp64); differentiable in `hidden`.
/// hidden: [rows, dim], targets: int64 [rows]; a negative one's row counts nothing. smoothing: the share of a row's target that is spread over all
/// classes alike, itself among them (Szegedy et al. 2016, "Rethinking the Inception architecture"), as in torch's cross_entropy.
Tensor linear_cross_entropy(const Tensor& hidden, const FrozenHead& head, const Tensor& targets, double scale, double smoothing = 0);

/// Any differentiable head (one with an adapter): logits of rows of `hidden`, the first of which is its row `begin`.
using RowsHead = std::function<Tensor(const Tensor& rows, int64_t begin)>;
/// The same through such a head: each chunk's logits are made again in the backward pass.
Tensor chunked_cross_entropy(const Tensor& hidden, const RowsHead& head, const Tensor& targets, double scale, double smoothing = 0);

/// For each row: the log-probability of its target, and whether the target is the likeliest token.
struct TokenScores {
  Tensor log_probability;   // fp32 [rows]
  Tensor correct;           // bool [rows]
};
TokenScores token_scores(const Tensor& hidden, const RowsHead& head, const Tensor& targets);

}  // namespace graft
