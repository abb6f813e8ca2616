#pragma once
// A number's step of AdamW on moments that were made fp32, on both sides the same to the bit (nothing is contracted, CMakeLists.txt).
#include "codecs.h"

namespace graft::kernels {

struct Moments {
  float average, square;
};

/// The moments after `gradient`, which they take in.
GRAFT_BOTH Moments taken_in(Moments moments, float gradient, const AdamW8& adam) {
  return {adam.beta1 * moments.average + adam.one_minus_beta1 * gradient, adam.beta2 * moments.square + adam.one_minus_beta2 * gradient * gradient};
}

GRAFT_BOTH float moved(float value, Moments moments, const AdamW8& adam) {
  const float step_size = adam.now[1], correction = adam.now[2];
  return value * adam.decay - step_size * moments.average / (sqrtf(moments.square) / correction + adam.epsilon);
}

/// The code of x in a block whose largest magnitude is `largest`.
GRAFT_BOTH uint8_t average_code(const float* map, float x, float largest) { return encode_dynamic(map, largest > 0 ? x / largest : 0.0f); }
/// A square that is not zero never becomes zero: its root is a divisor (Li et al. 2023, "Memory efficient optimizers with 4-bit states", section 4.1).
GRAFT_BOTH uint8_t square_code(const float* map, float x, float largest) {
  const uint8_t code = average_code(map, x, largest);
  return code == 0 && x > 0 ? uint8_t{1} : code;
}

}  // namespace graft::kernels
