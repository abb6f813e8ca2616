#pragma once
// What the blocks of ggml's types mean. Values are computed as ggml's own reference does, in fp32 and without contraction of a
// product and a sum, so that they agree bit for bit. Loops have fixed counts and no branches: they become vector instructions.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace graft {

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

inline float half(const uint8_t* at) {
  const uint32_t bits = load<uint16_t>(at);
  const uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  // Subnormals: with 2^-14's exponent set their digits stand in the right place, and that 2^-14 is taken off again (exactly).
  const float small = std::bit_cast<float>((magnitude << 13) + (113u << 23)) - std::bit_cast<float>(113u << 23);
  const uint32_t normal = (magnitude << 13) + (magnitude >= 0x7c00u ? 224u << 23 : 112u << 23);
  return std::bit_cast<float>(sign | (magnitude < 0x400u ? std::bit_cast<uint32_t>(small) : normal));
}

void unpack_f32(const uint8_t* in, size_t blocks, float* out);
void unpack_f16(const uint8_t* in, size_t blocks, float* out);
void unpack_bf16(const uint8_t* in, size_t blocks, float* out);
void unpack_q8_0(const uint8_t* in, size_t blocks, float* out);
void unpack_q4_0(const uint8_t* in, size_t blocks, float* out);
void unpack_q4_1(const uint8_t* in, size_t blocks, float* out);
void unpack_q5_0(const uint8_t* in, size_t blocks, float* out);
void unpack_q5_1(const uint8_t* in, size_t blocks, float* out);
void unpack_q4_k(const uint8_t* in, size_t blocks, float* out);
void unpack_q5_k(const uint8_t* in, size_t blocks, float* out);
void unpack_q6_k(const uint8_t* in, size_t blocks, float* out);

}  // namespace graft
