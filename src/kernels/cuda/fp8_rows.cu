// Rows of 16-bit numbers in e4m3, each with a scale of its own: a block a row, which it reads twice, the second time from its cache.
#include <cuda_fp8.h>

#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr float largest = 448;

__device__ float largest_of_block(float x) {
  __shared__ float of_warp[warps];
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  float all = of_warp[0];
  for (int i = 1; i < warps; ++i) all = fmaxf(all, of_warp[i]);
  return all;
}

template <class T, int N>
__global__ void __launch_bounds__(threads) fp8_rows_kernel(RowsOf<const T> x, uint8_t* values, float* scales, int64_t columns) {
  const T* const row = x.row(blockIdx.x);
  float most = 0, numbers[N];
  bool finite = true;
  for (int64_t c = threadIdx.x * N; c < columns; c += threads * N) {
    load_all<N>(row + c, numbers);
#pragma unroll
    for (int i = 0; i < N; ++i) most = fmaxf(most, fabsf(numbers[i])), finite = finite && isfinite(numbers[i]);
  }
  most = largest_of_block(finite ? most : INFINITY);   // fmaxf passes over NaN
  const float inverse = most > 0 ? largest / most : 1;
  if (threadIdx.x == 0) scales[blockIdx.x] = isfinite(most) ? (most > 0 ? most / largest : 1) : NAN;
  for (int64_t c = threadIdx.x * N; c < columns; c += threads * N) {
    load_all<N>(row + c, numbers);
    Vector<uint8_t, N> codes;
#pragma unroll
    for (int i = 0; i < N; ++i) codes.at[i] = __nv_cvt_float_to_fp8(numbers[i] * inverse, __NV_SATFINITE, __NV_E4M3);
    *reinterpret_cast<Vector<uint8_t, N>*>(values + blockIdx.x * columns + c) = codes;
  }
}

}  // namespace

void fp8_rows_cuda(Matrix x, uint8_t* values, float* scales, Real type, int64_t rows, int64_t columns, void* stream) {
  if (rows == 0) return;
  with_vectors(type, columns, {x, {values, columns}}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    fp8_rows_kernel<T, width.value><<<static_cast<unsigned>(rows), threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(x), values, scales, columns);
  });
  launched("fp8 rows kernel");
}

}  // namespace graft::kernels
