#pragma once
// RMSNorm of each head of q and k in front of their rotation (Qwen3, Gemma 3), outside autograd, for a fused block. Matrices [tokens, heads * head_dim].
#include "graft/ops/rope.h"

namespace graft {

struct HeadNorms {
  Tensor q, k;   // gains, fp32 (fp64 for fp64) [head_dim]; undefined: heads have no norm
  double eps = 0;
};

/// out = the heads of q and k in qkv = [q | k | v], normed and turned: [tokens, q_columns + k_columns].
void norm_rotate_into(const Tensor& qkv, int64_t q_columns, int64_t k_columns, const HeadNorms& norms, const Rotation& rotation, const Tensor& out);
/// The gradient of qkv from those of the turned q and k and of v.
void norm_rotate_backward_into(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& qkv, const HeadNorms& norms, const Rotation& rotation, const Tensor& out);

/// Whether a GPU's kernels take heads of this size.
bool has_head_norm(int64_t head_dim);

}  // namespace graft
