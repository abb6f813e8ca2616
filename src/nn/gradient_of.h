#pragma once
// Gradients that are added where they are made.
#include <ATen/ATen.h>

#include "graft/core/tensor.h"

namespace graft {

inline Tensor gradient_of(const Tensor& parameter) {
  Tensor& grad = const_cast<Tensor&>(parameter).mutable_grad();
  if (!grad.defined()) grad = at::zeros_like(parameter);
  return grad;
}

}  // namespace graft
