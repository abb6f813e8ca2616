#pragma once
// Gradients that are added where they are made, and products whose sums stay wide.
#include <ATen/ATen.h>

#include "graft/core/tensor.h"

namespace graft {

/// With fp32 sums where the inputs are narrower.
inline Tensor wide_product(const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == at::kFloat || a.scalar_type() == at::kDouble) return at::mm(a, b);
  return a.is_cuda() ? at::mm(a, b, at::kFloat) : at::mm(a.to(at::kFloat), b.to(at::kFloat));
}

inline Tensor gradient_of(const Tensor& parameter) {
  Tensor& grad = const_cast<Tensor&>(parameter).mutable_grad();
  if (!grad.defined()) grad = at::zeros_like(parameter);
  return grad;
}

}  // namespace graft
