#include "ggml_unpack.h"

#ifdef __clang__
#pragma clang fp contract(off)
#endif

namespace graft {

void unpack_f32(const uint8_t* in, size_t count, float* out) { std::memcpy(out, in, count * sizeof(float)); }

void unpack_f16(const uint8_t* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = half(in + 2 * i);
}

void unpack_bf16(const uint8_t* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = std::bit_cast<float>(uint32_t{load<uint16_t>(in + 2 * i)} << 16);
}

void unpack_q8_0(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 34, out += 32) {
    const float d = half(in);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
  }
}

// Low nibbles are elements 0-15, high ones 16-31.
void unpack_q4_0(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += 32) {
    const float d = half(in);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>((in[2 + i] & 15) - 8);
      out[16 + i] = d * static_cast<float>((in[2 + i] >> 4) - 8);
    }
  }
}

void unpack_q4_1(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 20, out += 32) {
    const float d = half(in), m = half(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(in[4 + i] & 15) + m;
      out[16 + i] = d * static_cast<float>(in[4 + i] >> 4) + m;
    }
  }
}

// The fifth bits of all 32 elements come first, element 0's lowest.
void unpack_q5_0(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 22, out += 32) {
    const float d = half(in);
    const auto high = load<uint32_t>(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(static_cast<int>((in[6 + i] & 15) | ((high >> i) & 1) << 4) - 16);
      out[16 + i] = d * static_cast<float>(static_cast<int>((in[6 + i] >> 4) | ((high >> (16 + i)) & 1) << 4) - 16);
    }
  }
}

void unpack_q5_1(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 24, out += 32) {
    const float d = half(in), m = half(in + 2);
    const auto high = load<uint32_t>(in + 4);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(static_cast<int>((in[8 + i] & 15) | ((high >> i) & 1) << 4)) + m;
      out[16 + i] = d * static_cast<float>(static_cast<int>((in[8 + i] >> 4) | ((high >> (16 + i)) & 1) << 4)) + m;
    }
  }
}

}  // namespace graft
