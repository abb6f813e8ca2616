#include "graft/ops/row_gain.h"

#include <ATen/ATen.h>

#include "graft/ops/launch.h"

namespace graft {

/// ||W + s B A||^2 = ||W||^2 + 2 s <W, B A> + s^2 ||B A||^2, row by row: W meets A in a product as narrow as the rank.
Tensor row_gain_text(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like) {
  const at::ScalarType wide = squares.scalar_type();
  const Tensor wide_a = a.to(wide), wide_b = b.to(wide);
  const Tensor inner = at::addmm(projected.to(wide).t(), wide_b, at::mm(wide_a, wide_a.t()), 2 * scale, scale * scale);   // 2 s W A^T + s^2 B A A^T
  const Tensor norm = (inner * wide_b).sum(1).add_(squares).clamp_min_(0).sqrt_();
  return (magnitude.to(wide) / norm).to(like.scalar_type());
}

Tensor row_gain(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like) {
  if (!like.is_cuda() || squares.scalar_type() != at::kFloat || a.size(0) > kernels::most_row_gain_rank)
    return row_gain_text(magnitude, squares, projected, a, b, scale, like);
  const Tensor gram = at::mm(a, a.t()).mul_(scale * scale), products = projected.to(at::kFloat).mul(scale).contiguous();
  Tensor gain = at::empty({b.size(0)}, like.options());
  kernels::Update update{.b = b.const_data_ptr<float>(), .rank = b.size(1), .out = b.size(0)};
  update.magnitude = magnitude.const_data_ptr<float>(), update.squares = squares.const_data_ptr<float>();
  kernels::row_gains_cuda(&update, 1, products.const_data_ptr<float>(), gram.const_data_ptr<float>(), b.size(1), gain.mutable_data_ptr(), real_type(like), b.size(0),
                          current_stream(like));
  return gain;
}

void scale_columns(const Tensor& y, const Tensor& gain) {
  if (has_gpu_kernel(y)) return kernels::scale_columns_cuda(matrix_of(y), gain.const_data_ptr(), real_type(y), y.size(0), y.size(1), current_stream(y));
  y.mul_(gain);
}

Tensor scale_columns_backward(const Tensor& grad, const Tensor& y, const Tensor& bias, const Tensor& gain, const Tensor& z_grad) {
  const at::ScalarType wide = wide_type(grad);
  if (has_gpu_kernel(grad)) {
    const int parts = kernels::column_product_parts(grad.size(0), grad.size(1));
    const Tensor products = at::empty({parts, grad.size(1)}, grad.options().dtype(wide));
    kernels::scale_columns_backward_cuda(matrix_of(grad), matrix_of(y), bias.defined() ? bias.const_data_ptr() : nullptr, gain.const_data_ptr(), matrix_of(z_grad),
                                         products.mutable_data_ptr<float>(), parts, real_type(grad), grad.size(0), grad.size(1), current_stream(grad));
    return products;
  }
  const Tensor values = bias.defined() ? y.to(wide) - bias : y.to(wide), products = (grad.to(wide) * values).sum(0, /*keepdim=*/true);
  z_grad.copy_(grad * gain);
  return products;
}

std::pair<Tensor, Tensor> row_gain_backward(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude) {
  const Tensor z_grad = at::empty_like(grad, at::MemoryFormat::Contiguous);
  const Tensor products = scale_columns_backward(grad.contiguous(), y.contiguous(), {}, gain, z_grad);
  return {z_grad, products.sum(0).div_(magnitude).to(magnitude.scalar_type())};
}

}  // namespace graft
