#pragma once
// How the gate's kernels that serve low-rank updates go about their matrices: a warp takes 64 columns and walks down its part of the rows, sixteen a step,
// which are brought into shared memory some steps ahead, worked on in their place and read from there by tensor cores. The warps of a block share
// a strip of columns. Few rows at once and long pieces of them move faster than many warps with a step in their registers each (docs/performance.md).
#include "async.cuh"
#include "gate.cuh"
#include "mma.cuh"
#include "pairs.cuh"
#include "vectors.cuh"

namespace graft::kernels {

namespace gate_tiles {
constexpr int rank = gate_rank, step = 16, columns = 64;                  // of a warp
constexpr int pitch = columns + 8;                                        // no two rows of eight in one bank
}  // namespace gate_tiles

/// A step's rows of one matrix.
template <class T>
using GateTile = T[gate_tiles::step][gate_tiles::pitch];

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
/// Where a lane stands in a tile: in each of four accesses a row of four, eight columns of 64; and as ldmatrix has it, a row of one of four 8 x 8 matrices.
struct GateLane {
  int line = static_cast<int>(threadIdx.x) % 32 / 8, at = static_cast<int>(threadIdx.x) % 8 * 8;
  int below = line / 2 * 8 + static_cast<int>(threadIdx.x) % 8, beside = line % 2 * 8;   // matrices one below the other first, then the next columns
  int row = line % 2 * 8 + static_cast<int>(threadIdx.x) % 8, column = line / 2 * 8;     // the other way round
};

/// Rows that are narrow products with a warp's columns, 16 x 16 a tile: left in shared memory for the block to add up.
template <int tiles>
__device__ void leave_narrow(float* to, int pitch, const float (&p)[tiles][2][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int h = 0; h < tiles; ++h)
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(to + (lane / 4 + half * 8) * pitch + h * 16 + n * 8 + lane % 4 * 2) = {p[h][n][2 * half], p[h][n][2 * half + 1]};
}

/// A step's rows of `tiles` times 16 such products, of all warps, whose shares lie `share` bytes apart.
template <int warps, int tiles>
__device__ void add_narrow(const void* shares, int share, int pitch, float* strip, int rows) {
  constexpr int fours = tiles * 4;
  const int row = static_cast<int>(threadIdx.x) / fours, column = static_cast<int>(threadIdx.x) % fours * 4;
  if (row >= gate_tiles::step || row >= rows) return;
  float4 sum = {0, 0, 0, 0};
#pragma unroll
  for (int w = 0; w < warps; ++w) {
    const float4 x = *reinterpret_cast<const float4*>(static_cast<const char*>(shares) + w * share + (row * pitch + column) * static_cast<int>(sizeof(float)));
    sum.x += x.x, sum.y += x.y, sum.z += x.z, sum.w += x.w;
  }
  *reinterpret_cast<float4*>(strip + row * tiles * 16 + column) = sum;
}
#endif

}  // namespace graft::kernels
