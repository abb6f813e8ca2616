// Q4_K: x = d * scale * q - dmin * minimum, with q of 4 bits, and a scale and a minimum of 6 bits for each 32 elements of the
// block's 256.
#include <algorithm>
#include <bit>
#include <cmath>

#include "ggml_pack.h"
#include "ggml_unpack.h"

#ifdef __clang__
#pragma clang fp contract(off)
#endif

namespace graft {
namespace {

constexpr int run = 32, top = 15;

/// Ties to even; |value| < 2^22: 1.5 * 2^23 moves a value's whole part to the last bits.
int nearest(float value) { return static_cast<int>(std::bit_cast<uint32_t>(value + 12582912.0f) & 0x7fffffu) - 0x400000; }

/// x is about scale * q - minimum; minimum >= 0.
struct Line {
  float scale = 0, minimum = 0;
};

/// What a least-squares fit weighs by: the values' own size, and a share that all have.
struct Weights {
  explicit Weights(const float* x) {
    float squares = 0;
    for (int i = 0; i < run; ++i) squares += x[i] * x[i];
    const float mean = std::sqrt(squares / run);
    for (int i = 0; i < run; ++i) of[i] = mean + std::fabs(x[i]);
  }
  float of[run];
};

int code(float x, float low, float inverse) { return std::clamp(nearest(inverse * (x - low)), 0, top); }

float squared_error(const float* x, const Weights& weights, const int* q, float scale, float low) {
  float error = 0;
  for (int i = 0; i < run; ++i) {
    const float difference = scale * static_cast<float>(q[i]) + low - x[i];
    error += weights.of[i] * (difference * difference);
  }
  return error;
}

/// The scale and offset that fit these codes best, an offset above zero left out; false: the codes are all alike.
bool fit(const float* x, const Weights& weights, const int* q, float sum_w, float sum_x, float& scale, float& low) {
  float sum_q = 0, sum_q2 = 0, sum_xq = 0;
  for (int i = 0; i < run; ++i) {
    const auto level = static_cast<float>(q[i]);
    const float weighted = weights.of[i] * level;
    sum_q += weighted, sum_q2 += weighted * level, sum_xq += weighted * x[i];
  }
  const float determinant = sum_w * sum_q2 - sum_q * sum_q;
  if (!(determinant > 0)) return false;
  scale = (sum_w * sum_xq - sum_x * sum_q) / determinant;
  low = (sum_q2 * sum_x - sum_q * sum_xq) / determinant;
  if (low > 0) low = 0, scale = sum_xq / sum_q2;
  return true;
}

/// The line of least weighted error among those of 21 spacings of the codes, and of the plain one from the least value to the
/// largest.
Line best_line(const float* x) {
  const Weights weights(x);
  float low = x[0], high = x[0], sum_w = weights.of[0], sum_x = sum_w * x[0];
  for (int i = 1; i < run; ++i) {
    low = std::min(low, x[i]), high = std::max(high, x[i]);
    sum_w += weights.of[i], sum_x += weights.of[i] * x[i];
  }
  low = std::min(low, 0.0f);
  if (high == low) return {0, -low};
  float inverse = top / (high - low), scale = 1 / inverse;
  int q[run];
  for (int i = 0; i < run; ++i) q[i] = code(x[i], low, inverse);
  float least = squared_error(x, weights, q, scale, low);
  for (int step = 0; step <= 20; ++step) {
    inverse = (-1.0f + 0.1f * static_cast<float>(step) + top) / (high - low);  // from the best line so far
    for (int i = 0; i < run; ++i) q[i] = code(x[i], low, inverse);
    float new_scale = 0, new_low = 0;
    if (!fit(x, weights, q, sum_w, sum_x, new_scale, new_low)) continue;
    if (const float error = squared_error(x, weights, q, new_scale, new_low); error < least)
      least = error, scale = new_scale, low = new_low;
  }
  return {scale, -low};
}

/// Eight pairs of 6 bits in 12 bytes: the first four whole, the last four's upper two bits on top of those.
void put_pair(uint8_t* packed, int j, int scale, int minimum) {
  if (j < 4) {
    packed[j] = static_cast<uint8_t>(scale), packed[4 + j] = static_cast<uint8_t>(minimum);
    return;
  }
  packed[4 + j] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
  packed[j - 4] |= static_cast<uint8_t>(scale >> 4 << 6);
  packed[j] |= static_cast<uint8_t>(minimum >> 4 << 6);
}

void pack_block(const float* in, uint8_t* out) {
  Line lines[8];
  float largest_scale = 0, largest_minimum = 0;
  for (int j = 0; j < 8; ++j) {
    lines[j] = best_line(in + run * j);
    largest_scale = std::max(largest_scale, lines[j].scale), largest_minimum = std::max(largest_minimum, lines[j].minimum);
  }
  store(out, half_bits(largest_scale / 63)), store(out + 2, half_bits(largest_minimum / 63));
  const float d = half(out), dmin = half(out + 2);
  const float per_scale = largest_scale > 0 ? 63 / largest_scale : 0,
              per_minimum = largest_minimum > 0 ? 63 / largest_minimum : 0;
  std::fill(out + 4, out + 144, uint8_t{0});
  for (int j = 0; j < 8; ++j) {
    const int scale = std::min(63, nearest(per_scale * lines[j].scale)),
              minimum = std::min(63, nearest(per_minimum * lines[j].minimum));
    put_pair(out + 4, j, scale, minimum);
    const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(minimum);
    for (int i = 0; i < run; ++i) {
      const int q = step == 0 ? 0 : std::clamp(nearest((in[run * j + i] + offset) / step), 0, top);
      out[16 + run * (j / 2) + i] |= static_cast<uint8_t>(j % 2 == 0 ? q : q << 4);
    }
  }
}

}  // namespace

void pack_q4_k(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks > 0; --blocks, in += 256, out += 144) pack_block(in, out);
}

}  // namespace graft
