#pragma once
#include "graft/ops/attention.h"

namespace graft {

/// Whether kernels/attention.h takes it: few queries, as when a text is continued, are not worth the packing of their keys.
bool has_cpu_attention(const Tensor& q, const AttentionMask& mask, const ScoreRule& rule);
/// As attention(), on the CPU; its scores are not kept.
Tensor attention_on_cpu(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);

}  // namespace graft
