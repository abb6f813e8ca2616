#include "graft/ops/rope.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <numbers>

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

/// Llama 3.1's rule: long waves are slowed by `factor`, short ones kept, those between are blended.
double llama3_frequency(const RopeSpec& spec, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency, original = static_cast<double>(spec.original_max_position);
  if (wavelength > original / spec.low_freq_factor) return frequency / spec.factor;
  if (wavelength < original / spec.high_freq_factor) return frequency;
  const double smooth = (original / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  return (1 - smooth) * frequency / spec.factor + smooth * frequency;
}

}  // namespace

Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim) {
  Tensor frequencies = at::empty({head_dim / 2}, at::kFloat);
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    double frequency = 1.0 / std::pow(spec.theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (spec.type == "linear") frequency /= spec.factor;
    if (spec.type == "llama3") frequency = llama3_frequency(spec, frequency);
    frequencies.mutable_data_ptr<float>()[i] = static_cast<float>(frequency);
  }
  return frequencies;
}

Rotation rotation_at(const Tensor& positions, const Tensor& frequencies) {
  const Tensor angles = positions.to(at::kFloat).unsqueeze(-1) * frequencies;  // [batch, time, half]
  return {angles.cos().contiguous(), angles.sin().contiguous()};
}

Tensor rotate_text(const Tensor& x, const Rotation& rotation) {
  const Tensor cosine = rotation.cosine.unsqueeze(-2).to(x.scalar_type()), sine = rotation.sine.unsqueeze(-2).to(x.scalar_type());
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
}

Tensor rotate(const Tensor& x, const Rotation& rotation) {
  if (has_cpu_kernel(x)) return Rotate::apply(x, rotation.cosine, rotation.sine);
  return rotate_text(x, rotation);
}

}  // namespace graft
