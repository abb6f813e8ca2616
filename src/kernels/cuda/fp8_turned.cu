// A matrix of 16-bit numbers turned and in e4m3: a block takes 128 x 64 of it, a thread four rows of eight columns, and a column's codes leave in one piece.
#include "fp8.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256, tile_rows = 128, tile_columns = 64;
constexpr int room = tile_rows / 4 + 1;   // words of four codes; one more, so that a warp's do not meet in a bank

template <class T>
__global__ void __launch_bounds__(threads) fp8_turned_kernel(RowsOf<const T> x, uint8_t* values, const float* scales, int rows, int columns) {
  __shared__ uint32_t turned[tile_columns][room];
  const int first_row = static_cast<int>(blockIdx.y) * tile_rows, first_column = static_cast<int>(blockIdx.x) * tile_columns, thread = static_cast<int>(threadIdx.x);
  const int group = thread / 8, eight = thread % 8, row = first_row + 4 * group, column = first_column + 8 * eight;
  if (row < rows && column < columns) {
    Vector<T, 8> in[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) in[u] = *reinterpret_cast<const Vector<T, 8>*>(x.row(row + u) + column);
#pragma unroll
    for (int c = 0; c < 8; ++c) {
      const float inverse = 1.0f / scales[column + c];
      const auto two = [&](int u) { return uint32_t{__nv_cvt_float2_to_fp8x2({load(in[u].at[c]) * inverse, load(in[u + 1].at[c]) * inverse}, __NV_SATFINITE, __NV_E4M3)}; };
      turned[8 * eight + c][group] = two(0) | two(2) << 16;
    }
  }
  __syncthreads();
  const int lane = thread % 32, to_row = first_row + 4 * lane;
  for (int c = thread / 32; c < tile_columns; c += threads / 32)
    if (first_column + c < columns && to_row < rows) *reinterpret_cast<uint32_t*>(values + (first_column + c) * int64_t{rows} + to_row) = turned[c][lane];
}

}  // namespace

void fp8_turned_cuda(Matrix x, uint8_t* values, const float* scales, Real type, int64_t rows, int64_t columns, void* stream) {
  if (rows == 0) return;
  const dim3 grid(static_cast<unsigned>((columns + tile_columns - 1) / tile_columns), static_cast<unsigned>((rows + tile_rows - 1) / tile_rows));
  with_sixteen_bits(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    fp8_turned_kernel<T><<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(x), values, scales, static_cast<int>(rows), static_cast<int>(columns));
  });
  launched("fp8 turned kernel");
}

}  // namespace graft::kernels
