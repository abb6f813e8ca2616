#pragma once
// What loops over rows share, written so that compilers vectorise it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "real.h"
#include "wide.h"

namespace graft::kernels {

constexpr int64_t lanes = 16;   // partial results: one order for every instruction set

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

template <class T>
GRAFT_INLINE float largest_of(const T* x, int64_t columns) {
  float each[lanes], largest = -INFINITY;
  for (float& e : each) e = -INFINITY;
  int64_t c = 0;
  for (; c + lanes <= columns; c += lanes)
    for (int l = 0; l < lanes; ++l) each[l] = to_float(x[c + l]) > each[l] ? to_float(x[c + l]) : each[l];
  for (; c < columns; ++c) each[0] = std::max(each[0], to_float(x[c]));
  for (const float e : each) largest = std::max(largest, e);
  return largest;
}

}  // namespace graft::kernels
