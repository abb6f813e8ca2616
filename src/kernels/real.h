#pragma once
// The CPU's view of the three compute types, written so that compilers vectorise it.
#include <cstdint>
#include <cstring>

#include "graft/kernels/api.h"

namespace graft::kernels {

struct Bf16 {
  uint16_t bits;
};
struct Fp16 {
  _Float16 value;
};

inline float to_float(float x) { return x; }
inline float to_float(Bf16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}
inline float to_float(Fp16 x) { return static_cast<float>(x.value); }

inline void store(float* p, float x) { *p = x; }
inline void store(Bf16* p, float x) {  // round to nearest even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  p->bits = static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}
inline void store(Fp16* p, float x) { p->value = static_cast<_Float16>(x); }

/// One function a type, where target_clones takes no template.
#define GRAFT_EACH_REAL(define) define(float) define(Bf16) define(Fp16)

/// Calls f with a null pointer of the element type.
template <class F>
void with_real(Real type, F&& f) {
  switch (type) {
    case Real::fp32: return f(static_cast<float*>(nullptr));
    case Real::bf16: return f(static_cast<Bf16*>(nullptr));
    case Real::fp16: return f(static_cast<Fp16*>(nullptr));
  }
}

}  // namespace graft::kernels
