#include "graft/ops/norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight, double eps) {
    const Tensor x = input.contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / std::max<int64_t>(1, columns);
    Tensor y = at::empty_like(x), rstd = at::empty({rows}, at::kFloat);
    for_rows(rows, columns, [&](int64_t begin, int64_t end) {
      kernels::rms_norm_cpu(row_of(x, begin, columns), weight.const_data_ptr(), row_of(y, begin, columns),
                            rstd.mutable_data_ptr<float>() + begin, real_type(x), end - begin, columns, static_cast<float>(eps));
    });
    context->save_for_backward({x, weight, rstd});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor grad = grads[0].contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / std::max<int64_t>(1, columns);
    Tensor dx = at::empty_like(x);
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
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor wide_x = x.to(wide);
  const Tensor normed = wide_x * at::rsqrt(wide_x.square().mean(-1, /*keepdim=*/true) + eps);
  const bool wider = at::elementSize(weight.scalar_type()) > at::elementSize(x.scalar_type());
  return wider ? (normed * weight).to(x.scalar_type()) : normed.to(x.scalar_type()) * weight;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  if (has_cpu_kernel(x) && weight.scalar_type() == x.scalar_type()) return RmsNorm::apply(x, weight, eps);
  return rms_norm_text(x, weight, eps);
}

}  // namespace graft
