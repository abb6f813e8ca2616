// DoRA's row gains (ops/row_gain.h): a thread a row of the weight; back through them a column a lane, rows in a fixed order.
#include <type_traits>

#include "reals.cuh"

namespace graft::kernels {
namespace {

constexpr int gain_threads = 128;
constexpr int lanes = 32, row_groups = 16;

template <class T>
__global__ void row_gain_kernel(const float* magnitude, const float* squares, const T* projected, const float* gram, const float* b, float scale, T* gain,
                                int64_t out, int rank) {
  extern __shared__ float inner[];   // the gram matrix: [rank, rank]
  for (int i = threadIdx.x; i < rank * rank; i += blockDim.x) inner[i] = gram[i];
  __syncthreads();
  const int64_t row = blockIdx.x * int64_t{gain_threads} + threadIdx.x;
  if (row >= out) return;
  const float* mine = b + row * rank;
  float square = squares[row];
  for (int k = 0; k < rank; ++k) {
    float sum = 0;
    for (int j = 0; j < rank; ++j) sum += inner[k * rank + j] * mine[j];
    square += mine[k] * scale * (2 * load(projected[k * out + row]) + scale * sum);
  }
  put(gain + row, magnitude[row] / sqrtf(fmaxf(square, 0.0f)));
}

template <class T>
__global__ void row_gain_backward_kernel(const T* grad, const T* y, const T* gain, const float* magnitude, T* z_grad, float* magnitude_grad, int64_t rows,
                                         int64_t out) {
  __shared__ float sums[row_groups][lanes];
  const int64_t column = blockIdx.x * int64_t{lanes} + threadIdx.x;
  float sum = 0;
  if (column < out) {
    const float factor = load(gain[column]);
    for (int64_t row = threadIdx.y; row < rows; row += row_groups) {
      const int64_t at = row * out + column;
      const float g = load(grad[at]);
      sum += g * load(y[at]);
      put(z_grad + at, g * factor);
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= out) return;
  float total = 0;
  for (int i = 0; i < row_groups; ++i) total += sums[i][threadIdx.x];
  magnitude_grad[column] = total / magnitude[column];
}

}  // namespace

void row_gain_cuda(const float* magnitude, const float* squares, const void* projected, const float* gram, const float* b, float scale, void* gain, Real type,
                   int64_t out, int64_t rank, void* stream) {
  if (out == 0) return;
  const auto blocks = static_cast<unsigned>((out + gain_threads - 1) / gain_threads);
  const auto shared = static_cast<size_t>(rank * rank) * sizeof(float);
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    row_gain_kernel<T><<<blocks, gain_threads, shared, static_cast<cudaStream_t>(stream)>>>(magnitude, squares, static_cast<const T*>(projected), gram, b, scale,
                                                                                         static_cast<T*>(gain), out, static_cast<int>(rank));
  });
  launched("row gain kernel");
}

void row_gain_backward_cuda(const void* grad, const void* y, const void* gain, const float* magnitude, void* z_grad, float* magnitude_grad, Real type, int64_t rows,
                            int64_t out, void* stream) {
  if (out == 0) return;
  const auto blocks = static_cast<unsigned>((out + lanes - 1) / lanes);
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    row_gain_backward_kernel<T><<<blocks, dim3(lanes, row_groups), 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const T*>(grad), static_cast<const T*>(y), static_cast<const T*>(gain), magnitude, static_cast<T*>(z_grad), magnitude_grad, rows, out);
  });
  launched("row gain backward kernel");
}

}  // namespace graft::kernels
