// Rows from one matrix into another.
#include "vectors.cuh"

namespace graft::kernels {
namespace {

template <class T, int N>
__global__ void copy_kernel(RowsOf<const T> from, RowsOf<T> to, unsigned in_row, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / in_row, column = i % in_row * N;
  *reinterpret_cast<Vector<T, N>*>(to.row(row) + column) = *reinterpret_cast<const Vector<T, N>*>(from.row(row) + column);
}

}  // namespace

void copy_rows_cuda(Matrix from, Matrix to, Real type, int64_t rows, int64_t columns, void* stream) {
  with_vectors(type, columns, {from, to}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int threads = 256;
    const int64_t count = rows * (columns / width);
    if (count == 0) return;
    copy_kernel<T, width.value><<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows_of<const T>(from), rows_of<T>(to), static_cast<unsigned>(columns / width), count);
  });
  launched("copy kernel");
}

}  // namespace graft::kernels
