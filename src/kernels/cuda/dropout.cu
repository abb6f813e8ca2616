// dropout_cpu's text for a GPU: one thread takes four columns of a token, so one Philox call serves it.
#include <type_traits>

#include "../philox.h"
#include "reals.cuh"

namespace graft::kernels {
namespace {

template <class T>
__global__ void dropout_kernel(const T* x, T* y, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions,
                               DropoutKey key, float scale, uint32_t threshold) {
  const int64_t blocks = (columns + 3) / 4;
  const int64_t count = rows * blocks;
  const uint32_t step = step_of(key);
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    const int64_t row = i / blocks, block = i % blocks;
    const Philox4 random = dropout_philox(key.seed, key.site, step, segments[row], positions[row], block);
    for (int l = 0; l < 4; ++l) {
      const int64_t column = 4 * block + l;
      if (column < columns)
        put(y + row * columns + column, random.word[l] >= threshold ? load(x[row * columns + column]) * scale : 0.0f);
    }
  }
}

}  // namespace

void dropout_cuda(const void* x, void* y, Real type, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions,
                  DropoutKey key, float p, void* stream) {
  const int64_t count = rows * ((columns + 3) / 4);
  if (count == 0) return;
  const int threads = 256;
  const int grid = static_cast<int>(count / threads + 1 < 65536 ? count / threads + 1 : 65536);
  const auto s = static_cast<cudaStream_t>(stream);
  const float scale = 1.0f / (1.0f - p);
  const uint32_t threshold = dropout_threshold(p);
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    dropout_kernel<T><<<grid, threads, 0, s>>>(static_cast<const T*>(x), static_cast<T*>(y), rows, columns, segments, positions, key,
                                               scale, threshold);
  });
  launched("dropout kernel");
}

}  // namespace graft::kernels
