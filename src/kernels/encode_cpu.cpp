// The plain text of quantising. One thread: callers cut.
#include <algorithm>
#include <cstring>

#include "codecs.h"
#include "real.h"
#include "wide.h"

namespace graft::kernels {
namespace {

template <class T, class C>
GRAFT_INLINE void encode_bytes(const T* x, int64_t count, const GroupScale& group, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] = C::encode(to_float(x[i]), group);
}

#define GRAFT_DEFINE_ENCODE(T)                                                                                                        \
  GRAFT_WIDE void nf4_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Nf4>(x, n, g, c); }             \
  GRAFT_WIDE void fp4_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Fp4>(x, n, g, c); }             \
  GRAFT_WIDE void int8_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Int8Absmax>(x, n, g, c); }     \
  GRAFT_WIDE void zero_point_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Int8ZeroPoint>(x, n, g, c); } \
  GRAFT_WIDE void affine_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Int4Affine>(x, n, g, c); }   \
  GRAFT_WIDE void fp8_bytes(const T* x, int64_t n, const GroupScale& g, uint8_t* c) { encode_bytes<T, Fp8>(x, n, g, c); }
GRAFT_DEFINE_ENCODE(float)
GRAFT_DEFINE_ENCODE(Bf16)
GRAFT_DEFINE_ENCODE(Fp16)

template <class T>
void dynamic_bytes(const T* x, int64_t count, const GroupScale& group, uint8_t* codes) {
  const float* map = dynamic_map();
  for (int64_t i = 0; i < count; ++i) codes[i] = encode_dynamic(map, to_float(x[i]) * group.inverse);
}

template <class T>
void group_bytes(Codec codec, const T* x, int64_t count, const GroupScale& group, uint8_t* codes) {
  switch (codec) {
    case Codec::nf4: return nf4_bytes(x, count, group, codes);
    case Codec::fp4: return fp4_bytes(x, count, group, codes);
    case Codec::int8_absmax: return int8_bytes(x, count, group, codes);
    case Codec::int8_zero_point: return zero_point_bytes(x, count, group, codes);
    case Codec::int4_affine: return affine_bytes(x, count, group, codes);
    case Codec::fp8: return fp8_bytes(x, count, group, codes);
    case Codec::dynamic8: return dynamic_bytes(x, count, group, codes);
  }
}

bool is_four_bits(Codec codec) { return codec == Codec::nf4 || codec == Codec::fp4 || codec == Codec::int4_affine; }

GroupScale group_of(Codec codec, const Constants& constants, int64_t g) {
  const float scale = constants.scale[g];
  const float inverse = codec == Codec::int8_absmax ? Int8Absmax::inverse(scale) : codec == Codec::fp8 ? Fp8::inverse(scale) : reciprocal(scale);
  return {scale, inverse, constants.zero ? constants.zero[g] : 0};
}

template <class T>
void encode(Codec codec, const T* x, int64_t count, const Constants& constants, uint8_t* codes) {
  const bool packs = is_four_bits(codec);
  uint8_t bytes[512];   // of one piece of a group; 512 is even, and so is every group that is packed
  for (int64_t begin = 0, g = 0; begin < count; begin += constants.group, ++g) {
    const GroupScale group = group_of(codec, constants, g);
    const int64_t end = std::min(count, begin + constants.group);
    for (int64_t i = begin; i < end; i += 512) {
      const int64_t size = std::min<int64_t>(512, end - i);
      if (!packs) {
        group_bytes(codec, x + i, size, group, codes + i);
        continue;
      }
      group_bytes(codec, x + i, size, group, bytes);
      if (size % 2) {
        T zero{};
        group_bytes(codec, &zero, 1, group, bytes + size);
      }
      for (int64_t k = 0; k < size; k += 2) codes[(i + k) / 2] = static_cast<uint8_t>(bytes[k] << 4 | bytes[k + 1]);
    }
  }
}

}  // namespace

void encode_cpu(Codec codec, const void* x, Real type, int64_t count, const Constants& constants, uint8_t* codes) {
  with_real(type, [&](auto* t) { encode(codec, static_cast<decltype(t)>(const_cast<void*>(x)), count, constants, codes); });
}

}  // namespace graft::kernels
