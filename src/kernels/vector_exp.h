#pragma once
#include <cstdint>
#include <cstring>

#include "wide.h"

namespace graft::kernels {

/// exp(x) for float, relative error under 3e-7 on [-87, 88] and clamped outside (Cody-Waite reduction, degree-6 polynomial):
/// a call of libm would keep loops from being vectorised.
GRAFT_INLINE float exp_vectorisable(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &exponent, 4);
  return p * scale;
}

}  // namespace graft::kernels
