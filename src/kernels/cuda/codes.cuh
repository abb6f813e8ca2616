#pragma once
// What the kernels on codes share. Compiled without FMA contraction, so that the bytes are the CPU's (CMakeLists.txt).
#include <type_traits>

#include "../codecs.h"
#include "reals.cuh"

namespace graft::kernels {

constexpr int threads = 256;

inline unsigned blocks_for(int64_t work) {
  const int64_t blocks = (work + threads - 1) / threads, limit = int64_t{1} << 20;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < limit ? blocks : limit);
}

struct Dynamic8 {
  static constexpr int bits = 8;
  static __device__ float inverse(float scale) { return reciprocal(scale); }
};

template <class F>
void with_codec(Codec codec, F&& f) {
  switch (codec) {
    case Codec::nf4: return f(Nf4{});
    case Codec::fp4: return f(Fp4{});
    case Codec::int8_absmax: return f(Int8Absmax{});
    case Codec::int8_zero_point: return f(Int8ZeroPoint{});
    case Codec::int4_affine: return f(Int4Affine{});
    case Codec::fp8: return f(Fp8{});
    case Codec::dynamic8: return f(Dynamic8{});
  }
}

static __constant__ float device_points[2][16] = {{GRAFT_NF4_POINTS}, {GRAFT_FP4_POINTS}};

/// What codes stand for; 4-bit types look their points up in shared memory (16 floats: no two codes share a bank).
template <class C>
struct Decoder {
  const float* points;
  __device__ float operator()(uint32_t code, float scale, int zero) const {
    if constexpr (std::is_same_v<C, Nf4> || std::is_same_v<C, Fp4>)
      return points[code] * scale;
    else if constexpr (std::is_same_v<C, Dynamic8>)
      return points[code] * scale;
    else
      return C::decode(static_cast<uint8_t>(code), scale, zero);
  }
};

template <class T>
struct alignas(sizeof(T) * 8) Eight {
  T values[8];
};
template <>
struct alignas(16) Eight<float> {   // two accesses of 16 bytes
  float values[8];
};

}  // namespace graft::kernels
