#include "graft/ops/rope.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

/// A rotation's backward pass is the inverse rotation.
Tensor rotated(const Tensor& input, const Tensor& cosine, const Tensor& sine, bool inverse) {
  const Tensor x = input.contiguous();
  const int64_t heads = x.size(-2), half = x.size(-1) / 2, tokens = x.numel() / (heads * 2 * half);
  Tensor y = at::empty_like(x);
  for_rows(tokens, heads * 2 * half, [&](int64_t begin, int64_t end) {
    kernels::rope_cpu(row_of(x, begin, heads * 2 * half), row_of(y, begin, heads * 2 * half), real_type(x),
                      cosine.const_data_ptr<float>() + begin * half, sine.const_data_ptr<float>() + begin * half, end - begin, heads,
                      half, inverse);
  });
  return y;
}

class Rotate : public torch::autograd::Function<Rotate> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& cosine, const Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotated(x, cosine, sine, false);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rotated(grads[0], saved[0], saved[1], true), Tensor(), Tensor()};
  }
};

}  // namespace

Rotation rotation_at(const Tensor& positions, const Tensor& frequencies, double attention_factor) {
  const Tensor angles = positions.to(at::kFloat).unsqueeze(-1) * frequencies;  // [batch, time, half]
  Rotation rotation{angles.cos().contiguous(), angles.sin().contiguous()};
  if (attention_factor != 1) rotation.cosine.mul_(attention_factor), rotation.sine.mul_(attention_factor);
  return rotation;
}

Tensor rotate_text(const Tensor& x, const Rotation& rotation) {
  const Tensor cosine = rotation.cosine.unsqueeze(-2).to(x.scalar_type()), sine = rotation.sine.unsqueeze(-2).to(x.scalar_type());
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
}

Tensor rotate(const Tensor& x, const Rotation& rotation) {
  if (!rotation.cosine.defined()) return x;
  if (const int64_t width = 2 * rotation.cosine.size(-1); width < x.size(-1))
    return at::cat({rotate(x.narrow(-1, 0, width), rotation), x.narrow(-1, width, x.size(-1) - width)}, -1);
  if (has_cpu_kernel(x)) return Rotate::apply(x, rotation.cosine, rotation.sine);
  return rotate_text(x, rotation);
}

}  // namespace graft
