// The plain texts of dequantising and of products with codes, and the same with wider instructions where the processor has them. One
// thread each: callers cut.
#include <algorithm>
#include <cstring>
#include <vector>

#include "codecs.h"
#include "real.h"
#include "wide.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace graft::kernels {
namespace {

// What the 16 codes of a 4-bit group stand for is (points - shift) * scale, a table of 16; then a group is looked up.
template <class T>
void look_up(const uint8_t* codes, int64_t first, int64_t count, const float* points, float shift, float scale, T* out) {   // `first`: of the element in codes
  T table[16];
  for (int code = 0; code < 16; ++code) store(table + code, (points[code] - shift) * scale);
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t byte = codes[(first + i) / 2];
    out[i] = table[(first + i) % 2 ? byte & 15 : byte >> 4];
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
#define GRAFT_AVX2 __attribute__((target("avx2,f16c")))
GRAFT_AVX2 inline __m256 scaled(const float* points, float shift, float scale) {
  return _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(points), _mm256_set1_ps(shift)), _mm256_set1_ps(scale));
}
/// Eight fp32 as 16-bit numbers in 32-bit lanes, rounded as store() does it.
GRAFT_AVX2 inline __m256i narrow(__m256 x, Bf16*) {
  const __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
}
GRAFT_AVX2 inline __m256i narrow(__m256 x, Fp16*) { return _mm256_cvtepu16_epi32(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }

/// 32 elements at a time: a shuffle of bytes is a table of 16, and a number of two bytes takes two.
template <class T>
GRAFT_AVX2 void look_up_avx2(const uint8_t* codes, int64_t count, const float* points, float shift, float scale, T* out) {
  const __m256i first = narrow(scaled(points, shift, scale), static_cast<T*>(nullptr)), second = narrow(scaled(points + 8, shift, scale), static_cast<T*>(nullptr));
  const __m256i table = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xd8);   // 16 numbers of 16 bits
  const __m256i bytes = _mm256_set1_epi16(0xff);
  const __m256i low = _mm256_permute4x64_epi64(_mm256_packus_epi16(_mm256_and_si256(table, bytes), _mm256_and_si256(table, bytes)), 0x88);
  const __m256i high = _mm256_permute4x64_epi64(_mm256_packus_epi16(_mm256_srli_epi16(table, 8), _mm256_srli_epi16(table, 8)), 0x88);
  const __m256i low_table = _mm256_permute2x128_si256(low, low, 0), high_table = _mm256_permute2x128_si256(high, high, 0);
  const __m256i mask = _mm256_set1_epi8(15);
  for (int64_t i = 0; i < count; i += 32) {
    const __m256i pairs = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i / 2)));   // a byte in 16 bits
    // the high half first: byte -> (byte >> 4) | (byte & 15) << 8
    const __m256i index = _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi16(pairs, 4), _mm256_slli_epi16(pairs, 8)), mask);
    const __m256i l = _mm256_shuffle_epi8(low_table, index), h = _mm256_shuffle_epi8(high_table, index);
    const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + 16), _mm256_permute2x128_si256(a, b, 0x31));
  }
}
/// 8 elements at a time: two shuffles of eight floats and a choice between them.
GRAFT_AVX2 void look_up_avx2(const uint8_t* codes, int64_t count, const float* points, float shift, float scale, float* out) {
  const __m256 first = scaled(points, shift, scale), second = scaled(points + 8, shift, scale);
  const __m256i shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
  for (int64_t i = 0; i < count; i += 8) {
    int32_t word;
    std::memcpy(&word, codes + i / 2, 4);
    const __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts);   // only the low bits choose
    const __m256 a = _mm256_permutevar8x32_ps(first, index), b = _mm256_permutevar8x32_ps(second, index);
    _mm256_storeu_ps(out + i, _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28))));
  }
}
/// Past the caches: what is written is not read first. `to` lies on 32 bytes, and `bytes` is a multiple of them.
GRAFT_AVX2 void stream_avx2(void* to, const void* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 32)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(static_cast<char*>(to) + i), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(static_cast<const char*>(from) + i)));
}
bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  return has;
}
void stream_fence() { _mm_sfence(); }
#else
bool has_avx2() { return false; }
template <class T>
void look_up_avx2(const uint8_t*, int64_t, const float*, float, float, T*) {}
void stream_avx2(void*, const void*, int64_t) {}
void stream_fence() {}
#endif

template <class T>
void look_up_group(const uint8_t* codes, int64_t first, int64_t count, const float* points, float shift, float scale, T* out) {
  int64_t done = 0;
  if (has_avx2() && first % 2 == 0) {
    done = count / 32 * 32;
    look_up_avx2(codes + first / 2, done, points, shift, scale, out);
  }
  if (done < count) look_up(codes, first + done, count - done, points, shift, scale, out + done);
}

template <class T, class C>
GRAFT_INLINE void decode_bytes(const uint8_t* codes, int64_t count, float scale, int zero, T* out) {
  for (int64_t i = 0; i < count; ++i) store(out + i, C::decode(codes[i], scale, zero));
}
#define GRAFT_DEFINE_DECODE(T)                                                                                                        \
  GRAFT_WIDE void int8_numbers(const uint8_t* c, int64_t n, float s, T* o) { decode_bytes<T, Int8Absmax>(c, n, s, 0, o); }            \
  GRAFT_WIDE void zero_point_numbers(const uint8_t* c, int64_t n, float s, int z, T* o) { decode_bytes<T, Int8ZeroPoint>(c, n, s, z, o); } \
  GRAFT_WIDE void fp8_numbers(const uint8_t* c, int64_t n, float s, T* o) { decode_bytes<T, Fp8>(c, n, s, 0, o); }
GRAFT_DEFINE_DECODE(float)
GRAFT_DEFINE_DECODE(Bf16)
GRAFT_DEFINE_DECODE(Fp16)

/// Elements [begin, end) of one group.
template <class T>
void decode_group(const Packed& packed, int64_t g, int64_t begin, int64_t end, T* out) {
  const float scale = group_scale(packed.constants, g);
  const int zero = packed.constants.zero ? packed.constants.zero[g] : 0;
  const uint8_t* codes = packed.codes;
  switch (packed.codec) {
    case Codec::int8_absmax: return int8_numbers(codes + begin, end - begin, scale, out);
    case Codec::int8_zero_point: return zero_point_numbers(codes + begin, end - begin, scale, zero, out);
    case Codec::fp8: return fp8_numbers(codes + begin, end - begin, scale, out);
    case Codec::dynamic8:
      for (int64_t i = begin; i < end; ++i) store(out + (i - begin), dynamic_map()[codes[i]] * scale);
      return;
    default: return look_up_group(codes, begin, end - begin, code_points(packed.codec), static_cast<float>(zero), scale, out);
  }
}

/// Elements [first, last).
template <class T>
void decode_range(const Packed& packed, int64_t first, int64_t last, T* out) {
  const int64_t group = packed.constants.group;
  for (int64_t i = first; i < last;) {
    const int64_t g = i / group, end = std::min(last, (g + 1) * group);
    decode_group(packed, g, i, end, out + (i - first));
    i = end;
  }
}

constexpr int64_t piece = 2048;               // elements that stay in the first cache
constexpr int64_t streamed_bytes = 8 << 20;   // results larger than this do not fit in the caches anyway

/// A row by pieces, each decoded near the processor and streamed out.
template <class T>
void stream_row(const Packed& packed, int64_t row, T* out) {
  alignas(32) T buffer[piece];
  const int64_t first = row * packed.columns;
  for (int64_t c = 0; c < packed.columns; c += piece) {
    const int64_t size = std::min(piece, packed.columns - c);
    decode_range(packed, first + c, first + c + size, buffer);
    stream_avx2(out + c, buffer, size * static_cast<int64_t>(sizeof(T)));
  }
}

template <class T>
GRAFT_INLINE float dot_of(const float* w, const T* x, int64_t count) {
  float sums[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int l = 0; l < 16; ++l) sums[l] += w[i + l] * to_float(x[i + l]);
  for (; i < count; ++i) sums[0] += w[i] * to_float(x[i]);
  float sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}
#define GRAFT_DEFINE_DOT(T) \
  GRAFT_WIDE float dot(const float* w, const T* x, int64_t n) { return dot_of(w, x, n); }
GRAFT_DEFINE_DOT(float)
GRAFT_DEFINE_DOT(Bf16)
GRAFT_DEFINE_DOT(Fp16)

}  // namespace

void decode_cpu(const Packed& packed, const Destination& to, Real type, int64_t begin, int64_t end) {
  with_real(type, [&](auto* t) {
    const auto whole = [](int64_t bytes) { return bytes % 32 == 0; };
    const auto size = static_cast<int64_t>(sizeof(*t));
    const bool streams = has_avx2() && packed.count * size >= streamed_bytes && whole(reinterpret_cast<intptr_t>(to.out)) && whole(to.stride * size) && whole(packed.columns * size);
    for (int64_t row = begin; row < end; ++row) {
      auto* out = static_cast<decltype(t)>(to.out) + row * to.stride;
      if (streams)
        stream_row(packed, row, out);
      else
        decode_range(packed, row * packed.columns, (row + 1) * packed.columns, out);
    }
    if (streams) stream_fence();
  });
}

void matvec_cpu(const Packed& packed, const void* x, void* y, Real type, int64_t begin, int64_t end) {
  std::vector<float> row(static_cast<size_t>(packed.columns));
  with_real(type, [&](auto* t) {
    for (int64_t o = begin; o < end; ++o) {
      decode_range(packed, o * packed.columns, (o + 1) * packed.columns, row.data());
      store(static_cast<decltype(t)>(y) + o, dot(row.data(), static_cast<decltype(t)>(const_cast<void*>(x)), packed.columns));
    }
  });
}

}  // namespace graft::kernels
