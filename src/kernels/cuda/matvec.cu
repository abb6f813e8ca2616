// matvec_cpu's text for a GPU: one row's product without a dense copy.
#include "codes.cuh"

namespace graft::kernels {
namespace {

__device__ float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

/// A warp two outputs, so that what it reads of x serves both: each lane takes 32 numbers of a row (16 bytes of codes, one group's) a step.
template <class C, class T>
__global__ void matvec_kernel(Packed packed, const T* x, T* y) {
  constexpr int outputs = 2, unroll = 2;   // four loads of codes in flight
  __shared__ float points[16];
  if ((std::is_same_v<C, Nf4> || std::is_same_v<C, Fp4>) && threadIdx.x < 16) points[threadIdx.x] = device_points[std::is_same_v<C, Fp4>][threadIdx.x];
  __syncthreads();
  const Decoder<C> decode{points};
  const Constants& constants = packed.constants;
  const int64_t rows = packed.count / packed.columns, columns = packed.columns;
  const int64_t first_row = (blockIdx.x * int64_t{threads / 32} + threadIdx.x / 32) * outputs;
  if (first_row >= rows) return;
  const int64_t last_row = first_row + 1 < rows ? first_row + 1 : first_row;   // an odd last row is taken twice
  const int64_t starts[outputs] = {first_row * columns, last_row * columns};
  const int shift = (constants.group & (constants.group - 1)) == 0 ? __ffsll(constants.group) - 1 : -1;
  x += blockIdx.y * columns;
  const int lane = threadIdx.x % 32;
  float sums[outputs] = {};
  for (int64_t first = lane * 32; first < columns; first += unroll * 32 * 32) {
    uint4 codes[unroll][outputs];
    float scale[unroll][outputs];
    int zero[unroll][outputs];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const int64_t c = first + u * 32 * 32;
      if (c >= columns) continue;
#pragma unroll
      for (int r = 0; r < outputs; ++r) codes[u][r] = __ldcs(reinterpret_cast<const uint4*>(packed.codes + (starts[r] + c) / 2));
#pragma unroll
      for (int r = 0; r < outputs; ++r) {
        const int64_t g = shift >= 0 ? (starts[r] + c) >> shift : (starts[r] + c) / constants.group;
        scale[u][r] = group_scale(constants, g);
        zero[u][r] = constants.zero ? constants.zero[g] : 0;
      }
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const int64_t c = first + u * 32 * 32;
      if (c >= columns) continue;
      float parts[outputs] = {};
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const Eight<T> values = *reinterpret_cast<const Eight<T>*>(x + c + 8 * w);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const float v = load(values.values[k]);
#pragma unroll
          for (int r = 0; r < outputs; ++r) {
            const uint32_t word = w == 0 ? codes[u][r].x : w == 1 ? codes[u][r].y : w == 2 ? codes[u][r].z : codes[u][r].w;
            parts[r] = fmaf(decode(word >> (8 * (k / 2) + (k % 2 ? 0 : 4)) & 15u, 1.0f, zero[u][r]), v, parts[r]);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < outputs; ++r) sums[r] = fmaf(parts[r], scale[u][r], sums[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < outputs; ++r) {
    const float sum = warp_sum(sums[r]);
    if (lane == 0) put(y + blockIdx.y * rows + (r == 0 ? first_row : last_row), sum);
  }
}

}  // namespace

void matvec_cuda(const Packed& packed, const void* x, void* y, Real type, int64_t vectors, void* stream) {
  const int64_t rows = packed.count / packed.columns;
  if (rows == 0 || vectors == 0) return;
  const int64_t rows_a_block = 2 * (threads / 32);
  const dim3 grid(static_cast<unsigned>((rows + rows_a_block - 1) / rows_a_block), static_cast<unsigned>(vectors));
  with_codec(packed.codec, [&](auto c) {
    using C = decltype(c);
    if constexpr (C::bits == 4)
      with_cuda_real(type, [&](auto* t) {
        using T = std::remove_pointer_t<decltype(t)>;
        matvec_kernel<C, T><<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(packed, static_cast<const T*>(x), static_cast<T*>(y));
      });
  });
  launched("matrix-vector kernel");
}

}  // namespace graft::kernels
