#pragma once
// RMSNorm with a frozen weight (Zhang & Sennrich 2019, "Root mean square layer normalization"): no gradient for the weight.
#include "graft/ops/fp8_product.h"

namespace graft {

/// x: [.., dim], weight: [dim] -> [.., dim]; computed in fp32, rounded once (twice on the plain path, as transformers does, unless the weight
/// is kept wider than x: Gemma's 1 + w).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps);

/// The meaning, differentiable by autograd: what the kernels are compared with.
Tensor rms_norm_text(const Tensor& x, const Tensor& weight, double eps);

// Outside autograd, for a fused block. Matrices [rows, columns] may lie in wider ones; rstd: fp32 (fp64 for fp64) [rows].

/// y = norm(x), or of sum = x + added (undefined: none), rounded and also written to `sum`. codes: of y, where they are wanted.
void rms_norm_into(const Tensor& x, const Tensor& added, const Tensor& weight, double eps, const Tensor& sum, const Tensor& y, const Tensor& rstd, Fp8Rows* codes = nullptr);
/// dx = passed (undefined: 0) + the gradient of x; y = norm(x) again, where it is defined. codes: of dx, where they are wanted.
void rms_norm_backward_into(const Tensor& grad, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& passed, const Tensor& dx, const Tensor& y,
                            Fp8Rows* codes = nullptr);

}  // namespace graft
