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
  if (x.is_cuda()) {
    const Tensor all = x.view({tokens, heads * 2 * half}), none = all.narrow(1, 0, 0);
    rotate_into(all, none, none, 2 * half, {}, {cosine, sine}, inverse, y.view_as(all));
    return y;
  }
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
  if (has_cpu_kernel(x) || has_gpu_kernel(x)) return Rotate::apply(x, rotation.cosine, rotation.sine);
  return rotate_text(x, rotation);
}

void rotate_into(const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim, const Tensor& bias, const Rotation& rotation, bool inverse, const Tensor& out) {
  const int64_t tokens = q.size(0), half = head_dim / 2;
  const Tensor &cosine = rotation.cosine, &sine = rotation.sine;
  if (has_gpu_kernel(q)) {
    const kernels::Heads heads{q.size(1) / head_dim, k.size(1) / head_dim, v.size(1) / head_dim, half};
    return kernels::rope_cuda(matrix_of(q), matrix_of(k), matrix_of(v), matrix_of(out), bias.defined() ? bias.const_data_ptr() : nullptr, heads,
                              cosine.defined() ? cosine.const_data_ptr<float>() : nullptr, cosine.defined() ? sine.const_data_ptr<float>() : nullptr, real_type(q), tokens,
                              inverse, current_stream(q));
  }
  Tensor all = at::cat({q, k, v}, 1).to(wide_type(q));
  if (bias.defined()) all = all + bias;
  if (cosine.defined()) {
    const Rotation turned{cosine.reshape({1, tokens, half}).to(all.scalar_type()), (inverse ? -sine : sine).reshape({1, tokens, half}).to(all.scalar_type())};
    const int64_t width = q.size(1) + k.size(1);
    const Tensor heads = rotate_text(all.narrow(1, 0, width).reshape({1, tokens, -1, head_dim}), turned);
    all = at::cat({heads.view({tokens, width}), all.narrow(1, width, v.size(1))}, 1);
  }
  out.copy_(all);
}

}  // namespace graft
