#pragma once
// What a code means: one number of a group as 4 or 8 bits, and back. The same text runs on both sides and neither may contract a product
// and a sum into an FMA (see CMakeLists.txt), so that CPU and GPU give identical bytes. A group shares a scale and, if it is affine, a zero.
//   int8_absmax      bitsandbytes' LLM.int8 (Dettmers et al. 2022): x ~ code * absmax / 127
//   int8_zero_point  asymmetric (Jacob et al. 2018, section 2.1): x ~ (code - zero) * scale, codes in [-128, 127]
//   int4_affine      the same with codes in [0, 15]
//   nf4, fp4         bitsandbytes' 4-bit types (Dettmers et al. 2023, section 3 and appendix E): x ~ point[code] * absmax
//   fp8              e4m3 without infinities (Micikevicius et al. 2022): x ~ e4m3(code) * absmax / 448
//   dynamic8         bitsandbytes' signed dynamic map, for the constants themselves: x ~ map[code] * absmax
#include <cmath>
#include <cstdint>
#include <cstring>

#include "graft/kernels/api.h"
#include "reciprocal.h"

#ifdef __CUDACC__
#define GRAFT_BOTH __host__ __device__ __forceinline__
#else
#define GRAFT_BOTH inline __attribute__((always_inline))
#endif

namespace graft::kernels {

/// What encoding needs of a group; `inverse` is worked out once from its scale.
struct GroupScale {
  float scale, inverse;
  int zero;
};

GRAFT_BOTH float rounded(float x) {   // to the nearest integer, ties to even
#ifdef __CUDA_ARCH__
  return rintf(x);
#else
  return __builtin_rintf(x);
#endif
}

/// Numbers below the normal range count as zeros in bitsandbytes' kernels.
GRAFT_BOTH float flushed(float x) { return fabsf(x) < 1.17549435e-38f ? 0.0f : x; }

/// A table of code points: the code is how many thresholds a value passes.
struct Nf4 {
  static constexpr int bits = 4;
  static GRAFT_BOTH float inverse(float scale) { return reciprocal(scale); }
  static GRAFT_BOTH uint8_t encode(float x, const GroupScale& group) {
    const float v = flushed(x) * group.inverse;   // a group of zeros: 0 * infinity is no number and passes no threshold
    return static_cast<uint8_t>((v > -0.8480964004993439f) + (v > -0.6106329262256622f) + (v > -0.4599952697753906f) +
                                (v > -0.33967943489551544f) + (v > -0.23460740596055984f) + (v > -0.13791173323988914f) +
                                (v > -0.045525018125772476f) + (v > 0.03979014977812767f) + (v > 0.1202552504837513f) +
                                (v > 0.2035212516784668f) + (v > 0.2920137718319893f) + (v > 0.3893125355243683f) +
                                (v > 0.5016634166240692f) + (v > 0.6427869200706482f) + (v > 0.8614784181118011f));
  }
};

struct Fp4 {
  static constexpr int bits = 4;
  static GRAFT_BOTH float inverse(float scale) { return reciprocal(scale); }
  static GRAFT_BOTH uint8_t encode(float x, const GroupScale& group) {
    const float v = flushed(flushed(x) * group.inverse), m = fabsf(v);
    const int rank = (m > 0.00260417f) + (m > 0.0859375f) + (m > 0.20833333f) + (m > 0.29166667f) + (m > 0.4166667f) + (m > 0.583333f) +
                     (m > 0.8333333f);
    const uint32_t code = 0x32547610u >> (4 * rank) & 7u;   // by rising magnitude: 0, 1, 6, 7, 4, 5, 2, 3
    return static_cast<uint8_t>(code + (v < 0 ? 8u : 0u));
  }
};

struct Int8Absmax {
  static constexpr int bits = 8;
  static GRAFT_BOTH float inverse(float scale) { return 127.0f * reciprocal(scale); }
  static GRAFT_BOTH uint8_t encode(float x, const GroupScale& group) {
    float v = rounded(flushed(x) * group.inverse);
    v = v > 127.0f ? 127.0f : v < -127.0f ? -127.0f : v == v ? v : 0.0f;   // a clipped range; a group of zeros
    return static_cast<uint8_t>(static_cast<int8_t>(v));
  }
  static GRAFT_BOTH float decode(uint8_t code, float scale, int) { return static_cast<float>(static_cast<int8_t>(code)) * scale * (1.0f / 127.0f); }
};

/// Affine codes. The quotient is taken in double: there no two fp32 numbers come so near to a tie that rounding could cross it.
template <int low, int high, int width>
struct Affine {
  static constexpr int bits = width;
  static GRAFT_BOTH float inverse(float) { return 0; }
  static GRAFT_BOTH uint8_t encode(float x, const GroupScale& group) {
    if (group.scale == 0) return static_cast<uint8_t>(group.zero);
    const double q = rint(static_cast<double>(x) / static_cast<double>(group.scale)) + group.zero;
    return static_cast<uint8_t>(static_cast<int8_t>(q < low ? low : q > high ? high : q));
  }
  static GRAFT_BOTH float decode(uint8_t code, float scale, int zero) {
    return static_cast<float>((low < 0 ? static_cast<int>(static_cast<int8_t>(code)) : static_cast<int>(code)) - zero) * scale;
  }
};
using Int8ZeroPoint = Affine<-128, 127, 8>;
using Int4Affine = Affine<0, 15, 4>;

struct Fp8 {
  static constexpr int bits = 8;
  static GRAFT_BOTH float inverse(float scale) { return 448.0f / scale; }
  /// Round to nearest even; beyond 448 saturates.
  static GRAFT_BOTH uint8_t encode(float x, const GroupScale& group) {
    const float v = x * group.inverse;
    const float m = fabsf(v);
    if (!(m > 0)) return 0;
    uint32_t bits32;
    memcpy(&bits32, &m, 4);
    const int exponent = static_cast<int>(bits32 >> 23) - 127;
    uint32_t code;
    if (exponent < -6) {
      code = static_cast<uint32_t>(rounded(m * 512.0f));                        // subnormal: steps of 2^-9
    } else {
      const uint32_t even = bits32 + 0x7ffffu + (bits32 >> 20 & 1u);          // 3 mantissa bits are kept
      code = (even >> 20) - ((127u - 7u) << 3);
      if (code > 0x7eu) code = 0x7eu;                                         // 448
    }
    return static_cast<uint8_t>(code | (v < 0 ? 0x80u : 0u));
  }
  static GRAFT_BOTH float decode(uint8_t code, float scale, int) {
    const uint32_t magnitude = code & 0x7fu, normal = (magnitude << 20) + (120u << 23), subnormal = (magnitude << 20) + (121u << 23);
    float m, n;   // with fp32's bias; a subnormal is what its mantissa adds to 2^-6
    memcpy(&m, &normal, 4), memcpy(&n, &subnormal, 4);
    m = magnitude < 8 ? n - 0.015625f : m;
    return (code & 0x80 ? -m : m) * (scale * (1.0f / 448.0f));
  }
};

// The points of nf4 and fp4 by code.
#define GRAFT_NF4_POINTS                                                                                                              \
  -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,            \
      -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,           \
      0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f
#define GRAFT_FP4_POINTS                                                                                                              \
  0.0f, 0.005208333333f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f, -0.0f, -0.005208333333f, -0.66666667f, -1.0f,      \
      -0.33333333f, -0.5f, -0.16666667f, -0.25f

/// Nearest point of a rising map of 256, as bitsandbytes searches it (its ties fall as they do there).
GRAFT_BOTH uint8_t encode_dynamic(const float* map, float x) {
  int pivot = 127, upper_pivot = 255, lower_pivot = 0;
  float lower = -1.0f, upper = 1.0f, value = map[pivot];
  for (int step = 64; step > 0; step >>= 1) {
    if (x > value) {
      lower_pivot = pivot, lower = value, pivot += step;
    } else {
      upper_pivot = pivot, upper = value, pivot -= step;
    }
    value = map[pivot];
  }
  if (upper_pivot == 255) upper = map[255];
  if (lower_pivot == 0) lower = map[0];
  if (x > value) return static_cast<uint8_t>(x > (upper + value) * 0.5f ? upper_pivot : pivot);
  return static_cast<uint8_t>(x < (lower + value) * 0.5f ? lower_pivot : pivot);
}

/// The scale of group `g`, from its 8 bits where it is doubly quantised.
GRAFT_BOTH float group_scale(const Constants& constants, int64_t g) {
  if (constants.scale) return constants.scale[g];
  return constants.map[constants.scale_codes[g]] * constants.nested_scale[g / nested_group] + constants.offset;
}

}  // namespace graft::kernels
