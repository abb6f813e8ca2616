#include "ggml_pack.h"

#include <algorithm>
#include <bit>
#include <cmath>

#ifdef __clang__
#pragma clang fp contract(off)
#endif

namespace graft {

uint16_t half_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const uint32_t sign = bits >> 16 & 0x8000u;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);   // no number
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // from 2^16
  if (magnitude < 0x38800000u) {  // below 2^-14: added to 0.5, the digits are rounded where a subnormal half has its last one
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t rounded = magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

void pack_f32(const float* in, size_t count, uint8_t* out) { std::memcpy(out, in, count * sizeof(float)); }

void pack_f16(const float* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) store(out + 2 * i, half_bits(in[i]));
}

void pack_bf16(const float* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(in[i]);
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    store(out + 2 * i, static_cast<uint16_t>(is_nan ? bits >> 16 | 64u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16));
  }
}

// The largest magnitude becomes 127.
void pack_q8_0(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks > 0; --blocks, in += 32, out += 34) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
    const float d = largest / 127, inverse = d != 0 ? 1 / d : 0;
    store(out, half_bits(d));
    for (int i = 0; i < 32; ++i) out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(in[i] * inverse)));
  }
}

// The value of the largest magnitude becomes -8, whatever its sign. Low nibbles are elements 0-15, high ones 16-31.
void pack_q4_0(const float* in, size_t blocks, uint8_t* out) {
  for (; blocks > 0; --blocks, in += 32, out += 18) {
    float largest = 0;
    for (int i = 0; i < 32; ++i)
      if (std::fabs(largest) < std::fabs(in[i])) largest = in[i];
    const float d = largest / -8, inverse = d != 0 ? 1 / d : 0;
    store(out, half_bits(d));
    const auto code = [&](float x) { return std::min(15, static_cast<int>(x * inverse + 8.5f)); };
    for (int i = 0; i < 16; ++i) out[2 + i] = static_cast<uint8_t>(code(in[i]) | code(in[16 + i]) << 4);
  }
}

}  // namespace graft
