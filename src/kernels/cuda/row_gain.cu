// DoRA's row gains (ops/row_gain.h): a thread a row of the weight; then columns scaled by them, and back, rows in a fixed order.
#include "updates.cuh"
#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int gain_threads = 128;

template <class T>
__global__ void row_gains_kernel(Updates updates, const float* projected, const float* gram, int64_t pad, T* gain, int64_t out) {
  extern __shared__ float inner[];   // this update's part of the gram matrix: [rank, rank]
  const Update& update = updates.at[blockIdx.y];
  const int rank = static_cast<int>(update.rank);
  for (int i = threadIdx.x; i < rank * rank; i += blockDim.x) inner[i] = gram[(update.row + i / rank) * pad + update.row + i % rank];
  __syncthreads();
  const int64_t row = blockIdx.x * int64_t{gain_threads} + threadIdx.x;
  if (row >= update.out) return;
  const float *mine = update.b + row * rank, *products = projected + update.row * out + update.first + row;
  float square = update.squares[row];
  for (int k = 0; k < rank; ++k) {
    float sum = 0;
    for (int j = 0; j < rank; ++j) sum += inner[k * rank + j] * mine[j];
    square += mine[k] * (2 * products[k * out] + sum);
  }
  put(gain + update.first + row, update.magnitude[row] / sqrtf(fmaxf(square, 0.0f)));
}

template <class T, int N>
__global__ void scale_kernel(RowsOf<T> y, const T* gain, unsigned in_row, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / in_row, column = i % in_row * N;
  float values[N], factors[N];
  load_all<N>(y.row(row) + column, values), load_all<N>(gain + column, factors);
  for (int k = 0; k < N; ++k) values[k] *= factors[k];
  put_all<N>(y.row(row) + column, values);
}

constexpr int lanes = 8, row_groups = 32;   // a block: 8 vectors wide, each 32nd row of its part

template <class T, int N>
__global__ void scale_backward_kernel(RowsOf<const T> grad, RowsOf<const T> y, const T* bias, const T* gain, RowsOf<T> z_grad, float* products, int64_t rows,
                                      int64_t rows_a_part, int64_t columns) {
  __shared__ float shared[row_groups][lanes * N + 1];
  const int64_t column = (blockIdx.x * int64_t{lanes} + threadIdx.x) * N, begin = blockIdx.y * rows_a_part, end = min(rows, begin + rows_a_part);
  float sums[N] = {};
  if (column < columns) {
    float factors[N], offsets[N] = {}, g[N], values[N];
    load_all<N>(gain + column, factors);
    if (bias) load_all<N>(bias + column, offsets);
    for (int64_t row = begin + threadIdx.y; row < end; row += row_groups) {
      load_all<N>(grad.row(row) + column, g), load_all<N>(y.row(row) + column, values);
#pragma unroll
      for (int k = 0; k < N; ++k) sums[k] += g[k] * (values[k] - offsets[k]), g[k] *= factors[k];
      put_all<N>(z_grad.row(row) + column, g);
    }
  }
  for (int k = 0; k < N; ++k) shared[threadIdx.y][threadIdx.x * N + k] = sums[k];
  __syncthreads();
  const int own = threadIdx.y * lanes + threadIdx.x;
  const int64_t to = blockIdx.x * int64_t{lanes * N} + own;
  if (own >= lanes * N || to >= columns) return;
  float total = 0;
  for (int i = 0; i < row_groups; ++i) total += shared[i][own];
  products[blockIdx.y * columns + to] = total;
}

__global__ void magnitude_kernel(Updates updates, const float* products, int parts, int64_t columns) {
  const Update& update = updates.at[blockIdx.y];
  const int64_t o = blockIdx.x * int64_t{gain_threads} + threadIdx.x;
  if (o >= update.out) return;
  float total = 0;
  for (int p = 0; p < parts; ++p) total += products[p * columns + update.first + o];
  update.magnitude_grad[o] += total / update.magnitude[o];
}

/// A column of blocks for each update.
dim3 grid_of(const Update* updates, int count) {
  int64_t most = 1;
  for (int i = 0; i < count; ++i) most = most < updates[i].out ? updates[i].out : most;
  return dim3(static_cast<unsigned>((most + gain_threads - 1) / gain_threads), static_cast<unsigned>(count));
}

}  // namespace

void row_gains_cuda(const Update* updates, int count, const float* projected, const float* gram, int64_t pad, void* gain, Real type, int64_t out, void* stream) {
  int64_t rank = 0;
  for (int i = 0; i < count; ++i) rank = rank < updates[i].rank ? updates[i].rank : rank;
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    row_gains_kernel<T><<<grid_of(updates, count), gain_threads, static_cast<size_t>(rank * rank) * sizeof(float), static_cast<cudaStream_t>(stream)>>>(
        all_of(updates, count), projected, gram, pad, static_cast<T*>(gain), out);
  });
  launched("row gains kernel");
}

void scale_columns_cuda(Matrix y, const void* gain, Real type, int64_t rows, int64_t columns, void* stream) {
  if (rows == 0 || columns == 0) return;
  with_vectors(type, columns, {y, {const_cast<void*>(gain), 0}}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int threads = 256;
    const int64_t count = rows * (columns / width);
    scale_kernel<T, width.value><<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows_of<T>(y), static_cast<const T*>(gain), static_cast<unsigned>(columns / width), count);
  });
  launched("scale kernel");
}

int column_product_parts(int64_t rows, int64_t columns) {
  const int64_t across = (columns + 63) / 64, wanted = 400 / across + 1, most = (rows + 2 * row_groups - 1) / (2 * row_groups);
  return static_cast<int>(wanted < most ? wanted : most < 1 ? 1 : most);
}

void scale_columns_backward_cuda(Matrix grad, Matrix y, const void* bias, const void* gain, Matrix z_grad, float* products, int parts, Real type, int64_t rows,
                                 int64_t columns, void* stream) {
  if (columns == 0) return;
  with_vectors(type, columns, {grad, y, z_grad, {const_cast<void*>(gain), 0}, {const_cast<void*>(bias), 0}}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int wide = lanes * width.value;
    const dim3 grid(static_cast<unsigned>((columns + wide - 1) / wide), static_cast<unsigned>(parts));
    scale_backward_kernel<T, width.value><<<grid, dim3(lanes, row_groups), 0, static_cast<cudaStream_t>(stream)>>>(
        rows_of<const T>(grad), rows_of<const T>(y), static_cast<const T*>(bias), static_cast<const T*>(gain), rows_of<T>(z_grad), products, rows,
        (rows + parts - 1) / parts, columns);
  });
  launched("scale backward kernel");
}

void add_magnitude_gradients_cuda(const Update* updates, int count, const float* products, int parts, int64_t columns, void* stream) {
  magnitude_kernel<<<grid_of(updates, count), gain_threads, 0, static_cast<cudaStream_t>(stream)>>>(all_of(updates, count), products, parts, columns);
  launched("magnitude kernel");
}

}  // namespace graft::kernels
