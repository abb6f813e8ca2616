#pragma once
// AdamW on moments that are kept in 8 bits (kernels/api.h says how): the text on the CPU, one kernel on a GPU.
#include "graft/core/tensor.h"

namespace graft {

/// Of `count` numbers, a multiple of 256.
struct Moments8 {
  Tensor average, square;           // codes: uint8 [count]
  Tensor average_max, square_max;   // fp32 [count / 256]
  Tensor maps;                      // the points and midpoints of both maps of codes, fp32 [2, 2, 256]
  Moments8 slice(int64_t begin, int64_t end) const;
};
/// As they are before the first step.
Moments8 zero_moments8(int64_t count, c10::Device device);

struct AdamW8Step {
  double rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  Tensor steps, divisor, bad;       // fp32 scalars on the device: steps with this one, what gradients are divided by, not 0: all stays as it is
};
/// values, gradients: fp32 [count].
void adamw_8bit(const Tensor& values, const Tensor& gradients, const Moments8& moments, const AdamW8Step& step);

}  // namespace graft
