#include "graft/ops/swiglu.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& gate_input, const Tensor& up_input) {
    const Tensor gate = gate_input.contiguous(), up = up_input.contiguous();
    Tensor y = at::empty_like(gate);
    for_rows(gate.numel(), 1, [&](int64_t begin, int64_t end) {
      kernels::swiglu_cpu(row_of(gate, begin, 1), row_of(up, begin, 1), row_of(y, begin, 1), real_type(gate), end - begin);
    });
    context->save_for_backward({gate, up});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &gate = saved[0], &up = saved[1], grad = grads[0].contiguous();
    Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
    for_rows(gate.numel(), 1, [&](int64_t begin, int64_t end) {
      kernels::swiglu_backward_cpu(row_of(grad, begin, 1), row_of(gate, begin, 1), row_of(up, begin, 1), row_of(dgate, begin, 1),
                                   row_of(dup, begin, 1), real_type(gate), end - begin);
    });
    return {dgate, dup};
  }
};

}  // namespace

Tensor swiglu_text(const Tensor& gate, const Tensor& up) { return at::silu(gate) * up; }

Tensor swiglu(const Tensor& gate, const Tensor& up) { return has_cpu_kernel(gate) ? Swiglu::apply(gate, up) : swiglu_text(gate, up); }

}  // namespace graft
