#pragma once
// The GPU's view of the three compute types.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <stdexcept>
#include <string>

#include "graft/kernels/api.h"

namespace graft::kernels {

__device__ inline float load(float x) { return x; }
__device__ inline float load(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float load(__half x) { return __half2float(x); }
__device__ inline void put(float* p, float x) { *p = x; }
__device__ inline void put(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }
__device__ inline void put(__half* p, float x) { *p = __float2half_rn(x); }

/// Calls f with a null pointer of the element type.
template <class F>
void with_cuda_real(Real type, F&& f) {
  switch (type) {
    case Real::fp32: return f(static_cast<float*>(nullptr));
    case Real::bf16: return f(static_cast<__nv_bfloat16*>(nullptr));
    case Real::fp16: return f(static_cast<__half*>(nullptr));
  }
}

/// The same of the two of 16 bits.
template <class F>
void with_sixteen_bits(Real type, F&& f) {
  if (type == Real::bf16) f(static_cast<__nv_bfloat16*>(nullptr));
  else f(static_cast<__half*>(nullptr));
}

/// A fact about the GPU that kernels are launched on.
inline int device_fact(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaGetDevice(&device), cudaDeviceGetAttribute(&value, which, device);
  return value;
}

inline void launched(const char* what) {
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

}  // namespace graft::kernels
