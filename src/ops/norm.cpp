#include "graft/ops/norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

Tensor matrix(const Tensor& x) { return x.view({-1, x.size(-1)}); }

kernels::Gain gain_of(const Tensor& weight) { return {weight.const_data_ptr(), real_type(weight)}; }

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight, double eps) {
    const Tensor x = input.contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / std::max<int64_t>(1, columns);
    Tensor y = at::empty_like(x), rstd = at::empty({rows}, x.options().dtype(at::kFloat));
    context->save_for_backward({x, weight, rstd});
    if (x.is_cuda()) {
      rms_norm_into(matrix(x), {}, weight, eps, {}, matrix(y), rstd);
      return y;
    }
    for_rows(rows, columns, [&](int64_t begin, int64_t end) {
      kernels::rms_norm_cpu(row_of(x, begin, columns), weight.const_data_ptr(), row_of(y, begin, columns),
                            rstd.mutable_data_ptr<float>() + begin, real_type(x), end - begin, columns, static_cast<float>(eps));
    });
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor grad = grads[0].contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / std::max<int64_t>(1, columns);
    Tensor dx = at::empty_like(x);
    if (x.is_cuda()) {
      rms_norm_backward_into(matrix(grad), matrix(x), saved[1], saved[2], {}, matrix(dx), {});
      return {dx, Tensor(), Tensor()};
    }
    for_rows(rows, columns, [&](int64_t begin, int64_t end) {
      kernels::rms_norm_backward_cpu(row_of(grad, begin, columns), row_of(x, begin, columns), saved[1].const_data_ptr(),
                                     saved[2].const_data_ptr<float>() + begin, row_of(dx, begin, columns), real_type(x), end - begin,
                                     columns);
    });
    return {dx, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rms_norm_text(const Tensor& x, const Tensor& weight, double eps) {
  const at::ScalarType wide = wide_type(x);
  const Tensor wide_x = x.to(wide);
  const Tensor normed = wide_x * at::rsqrt(wide_x.square().mean(-1, /*keepdim=*/true) + eps);
  const bool wider = at::elementSize(weight.scalar_type()) > at::elementSize(x.scalar_type());
  return wider ? (normed * weight).to(x.scalar_type()) : normed.to(x.scalar_type()) * weight;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  if (has_gpu_kernel(x) || (has_cpu_kernel(x) && weight.scalar_type() == x.scalar_type())) return RmsNorm::apply(x, weight, eps);
  return rms_norm_text(x, weight, eps);
}

namespace {

/// Where a kernel puts codes of x; nowhere if nobody wants them.
kernels::Fp8Codes room_for_codes(const Tensor& x, Fp8Rows* wanted) {
  if (!wanted) return {};
  *wanted = room_for_fp8(x);
  return codes_of(*wanted);
}

}  // namespace

void rms_norm_into(const Tensor& x, const Tensor& added, const Tensor& weight, double eps, const Tensor& sum, const Tensor& y, const Tensor& rstd, Fp8Rows* codes) {
  if (has_gpu_kernel(x))
    return kernels::rms_norm_cuda(matrix_of(x), matrix_of(added), gain_of(weight), matrix_of(sum), matrix_of(y), rstd.mutable_data_ptr<float>(), room_for_codes(y, codes),
                                  real_type(x), x.size(0), x.size(1), static_cast<float>(eps), current_stream(x));
  if (added.defined()) at::add_out(const_cast<Tensor&>(sum), x, added);
  const Tensor wide = (added.defined() ? sum : x).to(wide_type(x));
  rstd.copy_(at::rsqrt(wide.square().mean(1) + eps));
  y.copy_(wide * rstd.unsqueeze(1) * weight.to(wide.scalar_type()));
  if (codes) *codes = to_fp8(y);
}

void rms_norm_backward_into(const Tensor& grad, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& passed, const Tensor& dx, const Tensor& y,
                            Fp8Rows* codes) {
  if (has_gpu_kernel(x))
    return kernels::rms_norm_backward_cuda(matrix_of(grad), matrix_of(x), gain_of(weight), rstd.const_data_ptr<float>(), matrix_of(passed), matrix_of(dx), matrix_of(y),
                                           room_for_codes(dx, codes), real_type(x), x.size(0), x.size(1), current_stream(x));
  const at::ScalarType wide = wide_type(x);
  const Tensor scale = rstd.unsqueeze(1), values = x.to(wide), gain = weight.to(wide), g = grad.to(wide) * gain;
  Tensor own = scale * (g - values * (g * values).mean(1, /*keepdim=*/true) * scale.square());
  if (passed.defined()) own = own + passed.to(wide);
  if (y.defined()) y.copy_(values * scale * gain);
  dx.copy_(own);
  if (codes) *codes = to_fp8(dx);
}

}  // namespace graft
