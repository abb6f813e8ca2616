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

GRAFT_BOTH float moved(float value, Moments moments, const AdamW8& adam, float step_size, float correction) {
  return value * adam.decay - step_size * moments.average / (sqrtf(moments.square) / correction + adam.epsilon);
}

GRAFT_BOTH float share_of(float x, float largest) { return largest > 0 ? x / largest : 0.0f; }

/// The code of the point nearest to `share` is how many midpoints lie below: found a bit at a time from the 7th on, so that many can be looked for at once.
GRAFT_BOTH int with_next_bit(const float* midpoints, int code, int bit, float share) {
  const int further = code + (1 << bit);
  return share > midpoints[further - 1] ? further : code;
}

/// A square that is not zero never becomes zero: its root is a divisor (Li et al. 2023, "Memory efficient optimizers with 4-bit states", section 4.1).
GRAFT_BOTH int square_code(int nearest, float square) { return nearest == 0 && square > 0 ? 1 : nearest; }

}  // namespace graft::kernels
