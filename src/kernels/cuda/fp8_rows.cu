// Rows of 16-bit numbers in e4m3: a block a row, which it keeps in registers until its largest number is known; of longer ones the rest is read again.
#include "fp8.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256;

/// held: accesses that a thread keeps.
template <int held, class T, int N>
__global__ void __launch_bounds__(threads) fp8_rows_kernel(RowsOf<const T> x, uint8_t* values, float* scales, int columns) {
  const auto* const row = reinterpret_cast<const Vector<T, N>*>(x.row(blockIdx.x));
  const int count = columns / N;
  Vector<T, N> kept[held];
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int at = i * threads + static_cast<int>(threadIdx.x); at < count) kept[i] = row[at];
  float most = 0;
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (i * threads + static_cast<int>(threadIdx.x) < count) most = larger(most, kept[i]);
  for (int at = held * threads + threadIdx.x; at < count; at += threads) most = larger(most, row[at]);
  const float inverse = scale_row(largest_of_block<threads>(most), scales + blockIdx.x, threadIdx.x == 0);
  uint8_t* const to = values + blockIdx.x * int64_t{columns};
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int at = i * threads + static_cast<int>(threadIdx.x); at < count) put_codes(to + at * N, kept[i], inverse);
  for (int at = held * threads + threadIdx.x; at < count; at += threads) put_codes(to + at * N, row[at], inverse);
}

/// f with how many accesses hold a row of `count` of them.
template <class F>
void with_held(int64_t count, F&& f) {
  if (count <= 2 * threads) f(std::integral_constant<int, 2>{});
  else if (count <= 4 * threads) f(std::integral_constant<int, 4>{});
  else if (count <= 8 * threads) f(std::integral_constant<int, 8>{});
  else f(std::integral_constant<int, 14>{});
}

}  // namespace

void fp8_rows_cuda(Matrix x, Fp8Codes codes, Real type, int64_t rows, int64_t columns, void* stream) {
  if (rows == 0) return;
  with_vectors(type, columns, {x, {codes.values, columns}}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    with_held(columns / width, [&](auto held) {
      fp8_rows_kernel<held.value, T, width.value>
          <<<static_cast<unsigned>(rows), threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(x), codes.values, codes.scales, static_cast<int>(columns));
    });
  });
  launched("fp8 rows kernel");
}

}  // namespace graft::kernels
