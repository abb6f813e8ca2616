#pragma once
// RMSNorm with a frozen weight (Zhang & Sennrich 2019, "Root mean square layer normalization"): no gradient for the weight.
#include "graft/core/tensor.h"

namespace graft {

/// x: [.., dim], weight: [dim] -> [.., dim]; computed in fp32, rounded once (twice on the plain path, as transformers does, unless the weight
/// is kept wider than x: Gemma's 1 + w).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps);

/// The meaning, differentiable by autograd: what the kernels are compared with.
Tensor rms_norm_text(const Tensor& x, const Tensor& weight, double eps);

}  // namespace graft
