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
  const Tensor gram = at::mm(a, a.t()), products = projected.contiguous();
  Tensor gain = at::empty({b.size(0)}, like.options());
  kernels::row_gain_cuda(magnitude.const_data_ptr<float>(), squares.const_data_ptr<float>(), products.const_data_ptr(), gram.const_data_ptr<float>(),
                         b.const_data_ptr<float>(), static_cast<float>(scale), gain.mutable_data_ptr(), real_type(like), b.size(0), b.size(1), current_stream(like));
  return gain;
}

std::pair<Tensor, Tensor> row_gain_backward_text(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude) {
  const at::ScalarType wide = wide_type(grad);
  return {grad * gain, (grad.to(wide) * y.to(wide)).sum(0).div_(magnitude).to(magnitude.scalar_type())};
}

std::pair<Tensor, Tensor> row_gain_backward(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude) {
  if (!has_gpu_kernel(grad)) return row_gain_backward_text(grad, y, gain, magnitude);
  const Tensor g = grad.contiguous(), values = y.contiguous();
  Tensor z_grad = at::empty_like(g), magnitude_grad = at::empty_like(magnitude);
  kernels::row_gain_backward_cuda(g.const_data_ptr(), values.const_data_ptr(), gain.const_data_ptr(), magnitude.const_data_ptr<float>(), z_grad.mutable_data_ptr(),
                                  magnitude_grad.mutable_data_ptr<float>(), real_type(g), g.size(0), g.size(1), current_stream(g));
  return {z_grad, magnitude_grad};
}

}  // namespace graft
