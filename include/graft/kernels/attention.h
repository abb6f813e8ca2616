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

// On a GPU: causal, heads of 64 or 128 columns in 16 bits, groups of at most 8 query heads, on sm_90a.
struct TextAttention {
  Matrix q, k, v;                    // [tokens, heads * head_dim], [tokens, kv_heads * head_dim]
  const int32_t* texts = nullptr;    // [tokens, 2]: where each token's text begins and ends; none: a row of `columns` is a text
  int64_t tokens = 0, columns = 0, heads = 0, kv_heads = 0, head_dim = 64;
  float scale = 1;
  int64_t shared = 0;                // so many tokens, the first text, are seen by all behind them: it ends with the last
};
/// lse: [heads, tokens], of base 2.
void attention_cuda(const TextAttention& on, Matrix out, float* lse, Real type, void* stream);

struct TextAttentionBack {
  Matrix out, grad;
  const float* lse = nullptr;
  float* room = nullptr;                              // [heads, tokens]
  const float *cosine = nullptr, *sine = nullptr;     // [tokens, head_dim / 2]: dq and dk are turned back by them
  Matrix dq, dk, dv;
};
void attention_backward_cuda(const TextAttention& on, const TextAttentionBack& back, Real type, void* stream);

}  // namespace graft::kernels
