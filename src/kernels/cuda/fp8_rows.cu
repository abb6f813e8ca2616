// Rows of 16-bit numbers in e4m3: a block a row, which it reads twice, the second time from its cache.
#include "fp8.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256;

template <class T, int N>
__global__ void __launch_bounds__(threads) fp8_rows_kernel(RowsOf<const T> x, uint8_t* values, float* scales, int64_t columns) {
  const auto* const row = reinterpret_cast<const Vector<T, N>*>(x.row(blockIdx.x));
  float most = 0;
  for (int64_t i = threadIdx.x; i < columns / N; i += threads) most = larger(most, row[i]);
  const float inverse = scale_row(largest_of_block<threads>(most), scales + blockIdx.x);
  for (int64_t i = threadIdx.x; i < columns / N; i += threads) put_codes(values + blockIdx.x * columns + i * N, row[i], inverse);
}

}  // namespace

void fp8_rows_cuda(Matrix x, Fp8Codes codes, Real type, int64_t rows, int64_t columns, void* stream) {
  if (rows == 0) return;
  with_vectors(type, columns, {x, {codes.values, columns}}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    fp8_rows_kernel<T, width.value><<<static_cast<unsigned>(rows), threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(x), codes.values, codes.scales, columns);
  });
  launched("fp8 rows kernel");
}

}  // namespace graft::kernels
