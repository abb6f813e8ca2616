// adamw_8bit_cpu.cpp's text for a GPU: a thread a number, a block of threads a block of numbers at a time.
#include "../adamw_8bit.h"
#include "reals.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = moment_block;

/// The largest of both over the block, in every thread.
__device__ Moments largest_of_block(Moments mine, Moments (&of_warps)[threads / 32]) {
  for (int offset = 16; offset > 0; offset /= 2) {
    mine.average = fmaxf(mine.average, __shfl_xor_sync(0xffffffffu, mine.average, offset));
    mine.square = fmaxf(mine.square, __shfl_xor_sync(0xffffffffu, mine.square, offset));
  }
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = mine;
  __syncthreads();
  for (int i = 0; i < threads / 32; ++i) mine = {fmaxf(mine.average, of_warps[i].average), fmaxf(mine.square, of_warps[i].square)};
  __syncthreads();   // before the next block's are written
  return mine;
}

__device__ int nearest_code(const float* midpoints, float share) {
  int code = 0;
  for (int bit = 7; bit >= 0; --bit) code = with_next_bit(midpoints, code, bit, share);
  return code;
}

__global__ void adamw_8bit_kernel(AdamW8 adam) {
  if (adam.now[3] != 0) return;
  __shared__ float maps[4][256];
  __shared__ Moments of_warps[threads / 32];
  for (int i = 0; i < 4; ++i) maps[i][threadIdx.x] = adam.maps[i * 256 + threadIdx.x];
  const float divisor = adam.now[0], step_size = adam.now[1], correction = adam.now[2];
  __syncthreads();
  for (int64_t block = blockIdx.x; block < adam.blocks; block += gridDim.x) {
    const int64_t at = block * moment_block + threadIdx.x;
    const Moments before{maps[0][adam.average[at]] * adam.average_max[block], maps[2][adam.square[at]] * adam.square_max[block]};
    const Moments now = taken_in(before, adam.gradients[at] / divisor, adam);
    adam.values[at] = moved(adam.values[at], now, adam, step_size, correction);
    const Moments largest = largest_of_block({fabsf(now.average), now.square}, of_warps);   // its barrier: every thread has read the old ones
    if (threadIdx.x == 0) adam.average_max[block] = largest.average, adam.square_max[block] = largest.square;
    adam.average[at] = static_cast<uint8_t>(nearest_code(maps[1], share_of(now.average, largest.average)));
    adam.square[at] = static_cast<uint8_t>(square_code(nearest_code(maps[3], share_of(now.square, largest.square)), now.square));
  }
}

}  // namespace

void adamw_8bit_cuda(const AdamW8& adam, void* stream) {
  if (adam.blocks == 0) return;
  const auto grid = static_cast<unsigned>(adam.blocks < 2048 ? adam.blocks : 2048);   // few enough to share the reading of the maps
  adamw_8bit_kernel<<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(adam);
  launched("8-bit AdamW kernel");
}

}  // namespace graft::kernels
