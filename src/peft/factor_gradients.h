#pragma once
// Back through s B A x, outside autograd.
#include <ATen/ATen.h>

#include "graft/ops/product.h"

namespace graft {

/// g: the gradient of the layer's product, [rows, out]; input: x; narrow: A x, [rows, rank].
struct FactorGradients {
  Tensor narrow, a, b;   // of A x, in g's type; of the factors, in b's
};
inline FactorGradients factor_gradients(const Tensor& g, const Tensor& input, const Tensor& narrow, const Tensor& b, double scale) {
  const Tensor narrow_grad = product(g, b.to(g.scalar_type()).t()).mul_(scale);
  const Tensor b_grad = at::mm(narrow.t(), g).t().to(b.scalar_type()).mul_(scale);   // g^T first takes a CPU three times as long
  return {narrow_grad, at::mm(narrow_grad.t(), input).to(b.scalar_type()), b_grad};
}

}  // namespace graft
