#pragma once
// Rows in e4m3, each with a scale that makes its largest magnitude 448.
#include <cuda_fp8.h>

#include "vectors.cuh"

namespace graft::kernels {

/// The larger of the two magnitudes; INFINITY once a number is not finite.
__device__ inline float larger(float most, float x) { return isfinite(x) ? fmaxf(most, fabsf(x)) : INFINITY; }

template <class T, int N>
__device__ float larger(float most, const Vector<T, N>& v) {
#pragma unroll
  for (int i = 0; i < N; ++i) most = larger(most, load(v.at[i]));
  return most;
}

template <int threads>
__device__ float largest_of_block(float x) {
  constexpr int warps = threads / 32;
  __shared__ float of_warp[warps];
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  x = of_warp[threadIdx.x % warps];
  for (int offset = warps / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

/// What a row's numbers are multiplied by, from the largest of them; its scale is written down, by one thread.
__device__ inline float scale_row(float most, float* scale, bool writes) {
  constexpr float largest_code = 448;
  if (writes) *scale = isfinite(most) ? (most > 0 ? most / largest_code : 1) : NAN;
  return most > 0 ? largest_code / most : 1;
}

template <class T, int N>
__device__ void put_codes(uint8_t* to, const Vector<T, N>& v, float inverse) {
  if constexpr (N % 2 == 1) {
    for (int i = 0; i < N; ++i) to[i] = __nv_cvt_float_to_fp8(load(v.at[i]) * inverse, __NV_SATFINITE, __NV_E4M3);
  } else {
    Vector<uint16_t, N / 2> pairs;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) pairs.at[i] = __nv_cvt_float2_to_fp8x2({load(v.at[2 * i]) * inverse, load(v.at[2 * i + 1]) * inverse}, __NV_SATFINITE, __NV_E4M3);
    *reinterpret_cast<Vector<uint16_t, N / 2>*>(to) = pairs;
  }
}

}  // namespace graft::kernels
