#pragma once
// Sixteen-bit numbers two a register, as tensor cores take them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace graft::kernels {

/// Two numbers in one register: as elements of arrays, numbers of 16 bits would take one each.
__device__ inline float2 unpack(unsigned two, __nv_bfloat16) { return {__uint_as_float(two << 16), __uint_as_float(two & 0xffff0000u)}; }
__device__ inline float2 unpack(unsigned two, __half) { return __half22float2(*reinterpret_cast<__half2*>(&two)); }
__device__ inline unsigned pack(float2 x, __nv_bfloat16) {
  const __nv_bfloat162 two = __float22bfloat162_rn(x);
  return *reinterpret_cast<const unsigned*>(&two);
}
__device__ inline unsigned pack(float2 x, __half) {
  const __half2 two = __float22half2_rn(x);
  return *reinterpret_cast<const unsigned*>(&two);
}
/// Of eight numbers.
__device__ inline unsigned& pair_of(uint4& x, int i) { return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w; }
__device__ inline uint4& eight_at(void* p) { return *reinterpret_cast<uint4*>(p); }
__device__ inline const uint4& eight_at(const void* p) { return *reinterpret_cast<const uint4*>(p); }

}  // namespace graft::kernels
