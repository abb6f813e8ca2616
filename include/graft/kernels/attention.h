#pragma once
// Attention on the CPU: a head of one text at a time, in fp32 inside. Without the scores it costs: they are made again on the way back
// (Dao et al. 2022, "FlashAttention"). The meaning is attention_text of ops/attention.h.
#include <cstdint>

#include "graft/kernels/api.h"

namespace graft::kernels {

/// One head of one text: q and out are [queries, dim], k and v [keys, dim].
struct AttentionHead {
  Matrix q, k, v, out;
  float* lse = nullptr;              // [queries]: the logarithm of each row's sum of exponentials
  int64_t queries = 0, keys = 0, dim = 0;
  float scale = 1;
  bool causal = false;               // query i sees the keys up to its own, where the last query is the last key's
  const bool* allowed = nullptr;     // [queries, keys] that lie `allowed_stride` apart; none: all. A query that sees nothing gets zeros
  int64_t allowed_stride = 0;
};
void attention_cpu(const AttentionHead& head, Real type);

/// Of the head's inputs, in their type, from that of its output.
struct AttentionGradients {
  Matrix out, q, k, v;
};
void attention_backward_cpu(const AttentionHead& head, const AttentionGradients& gradients, Real type);

}  // namespace graft::kernels
