#pragma once
// Values to blocks of ggml's types, as ggml's own reference quantisers (ggml-quants.c) choose them without an importance matrix:
// in fp32, and without contraction of a product and a sum, so that a file is the same wherever it is written.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace graft {

template <class T>
void store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

/// The bits of the half nearest to a value, ties to even; what is too large becomes infinity.
uint16_t half_bits(float value);

void pack_f32(const float* in, size_t count, uint8_t* out);
void pack_f16(const float* in, size_t count, uint8_t* out);
void pack_bf16(const float* in, size_t count, uint8_t* out);
void pack_q8_0(const float* in, size_t blocks, uint8_t* out);
void pack_q4_0(const float* in, size_t blocks, uint8_t* out);
void pack_q4_k(const float* in, size_t blocks, uint8_t* out);

}  // namespace graft
