// Many rows times a few columns, bound by reading the rows once: a block takes some rows whole, its eight warps share the columns, 32 at a time, and add up
// at the end. A lane reads sixteen bytes of a row and takes them for its part of two products' sums, whose order is free; factors are read in the same order.
#include "async.cuh"
#include "mma.cuh"
#include "pairs.cuh"
#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int warps = 8, chunk = 32;

/// Of a warp: its part of some chunks to come, as each lane reads it, sixteen bytes beside sixteen; factors that lie across in a tile of their own.
template <class T, bool across, int tiles, int eights>
struct Stage {
  static constexpr int pitch = eights * 8 + 8;                           // no two rows of eight in one bank
  static constexpr int count = tiles == 1 && eights > 4 ? 2 : 3;         // under way: fewer where a GPU's shared memory may be small
  uint4 x[tiles * 2][32];
  std::conditional_t<across, T[chunk][pitch], uint4[eights][32]> factors;
};
template <class T, bool across, int tiles, int eights>
constexpr int memory_of() {
  using S = Stage<T, across, tiles, eights>;
  const int stages = warps * S::count * static_cast<int>(sizeof(S)), sums = warps * tiles * 16 * S::pitch * static_cast<int>(sizeof(float));
  return stages > sums ? stages : sums;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
/// Of `tiles` times 16 rows and `eights` times 8 columns.
template <class T, bool across, int tiles, int eights>
__global__ void __launch_bounds__(warps * 32) narrow_kernel(RowsOf<const T> x, RowsOf<const T> factors, RowsOf<T> narrow, RowsOf<T> narrow_copy, RowsOf<T> x_copy, int64_t rows,
                                                             int columns, int pad) {
  extern __shared__ __align__(16) unsigned char room[];
  using S = Stage<T, across, tiles, eights>;
  constexpr int stages = S::count, pitch = S::pitch;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, line = lane / 4, part = lane % 4;
  const int64_t first = int64_t{blockIdx.x} * tiles * 16;
  const int there = static_cast<int>(rows - first < tiles * 16 ? rows - first : tiles * 16);
  const T* const from = x.row(first) + part * 8;
  const int stride = static_cast<int>(x.stride), factor_stride = static_cast<int>(factors.stride);
  S* const own = reinterpret_cast<S*>(room) + warp * stages;
  float c[tiles][eights][4] = {};

  const auto fetch = [&](int column, S& stage) {
    if (column < columns) {
#pragma unroll
      for (int i = 0; i < tiles * 2; ++i) {
        const int row = i * 8 + line;
        copy_async(&stage.x[i][lane], from + (row < there ? row : 0) * stride + column, row < there);
      }
#pragma unroll
      for (int i = 0; i < eights; ++i) {
        if constexpr (across) {   // a chunk's rows in the order of their reading: pairs of each lane's eight
          const int piece = i * 32 + lane, k = piece / eights, at = piece % eights * 8;
          copy_async(&stage.factors[k % 8 / 2 * 8 + k / 8 * 2 + k % 2][at], factors.row(column + k) + at, true);
        } else {
          copy_async(&stage.factors[i][lane], factors.data + (i * 8 + line) * factor_stride + column + part * 8, true);
        }
      }
    }
    commit_copies();
  };
  int column = warp * chunk, at = 0;
  for (int s = 0; s < stages - 1; ++s) fetch(column + s * warps * chunk, own[s]);
  for (; column < columns; column += warps * chunk) {
    await_copies<stages - 2>();
    __syncwarp();
    S& stage = own[at];
    fetch(column + (stages - 1) * warps * chunk, own[at == 0 ? stages - 1 : at - 1]);   // in the place of the chunk before
    at = at == stages - 1 ? 0 : at + 1;
    uint4 now[tiles * 2];
#pragma unroll
    for (int i = 0; i < tiles * 2; ++i) {
      now[i] = stage.x[i][lane];
      if (x_copy && i * 8 + line < there) *reinterpret_cast<uint4*>(x_copy.row(first + i * 8 + line) + column + part * 8) = now[i];
    }
#pragma unroll
    for (int n = 0; n < eights; ++n) {
      unsigned f[4];
      if constexpr (across) {
        load_transposed(f, &stage.factors[lane][n * 8]);
      } else {
        uint4 eight = stage.factors[n][lane];
#pragma unroll
        for (int j = 0; j < 4; ++j) f[j] = pair_of(eight, j);
      }
#pragma unroll
      for (int m = 0; m < tiles; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          multiply(c[m][n], {pair_of(now[2 * m], 2 * h), pair_of(now[2 * m + 1], 2 * h), pair_of(now[2 * m], 2 * h + 1), pair_of(now[2 * m + 1], 2 * h + 1)}, f[2 * h], f[2 * h + 1],
                   T{});
    }
  }

  __syncthreads();
  float* const sums = reinterpret_cast<float*>(room);
#pragma unroll
  for (int m = 0; m < tiles; ++m)
#pragma unroll
    for (int n = 0; n < eights; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(sums + (warp * tiles * 16 + m * 16 + half * 8 + line) * pitch + n * 8 + part * 2) = {c[m][n][2 * half], c[m][n][2 * half + 1]};
  __syncthreads();
  for (int i = threadIdx.x; i < there * (pad / 8); i += warps * 32) {
    const int row = i / (pad / 8), k = i % (pad / 8) * 8;
    float sum[8] = {};
    for (int w = 0; k < eights * 8 && w < warps; ++w) {
      float own_sum[8];
      load_all(sums + (w * tiles * 16 + row) * pitch + k, own_sum);
#pragma unroll
      for (int j = 0; j < 8; ++j) sum[j] += own_sum[j];
    }
    put_all(narrow.row(first + row) + k, sum);
    if (narrow_copy) put_all(narrow_copy.row(first + row) + k, sum);
  }
}
#else
template <class T, bool across, int tiles, int eights>
__global__ void narrow_kernel(RowsOf<const T>, RowsOf<const T>, RowsOf<T>, RowsOf<T>, RowsOf<T>, int64_t, int, int) {}
#endif

struct Call {
  Matrix x, factors, narrow;
  NarrowCopies copies;
  int64_t rows, columns, pad;
  cudaStream_t stream;
};

/// By as many rows a block as leave blocks for all multiprocessors, if they have the room.
template <class T, bool across, int tiles, int eights>
void launch(const Call& call) {
  constexpr int memory = memory_of<T, across, tiles, eights>();
  if constexpr (tiles > 1)
    if (call.rows < tiles * 16 * 128 || memory > device_fact(cudaDevAttrMaxSharedMemoryPerBlockOptin)) return launch<T, across, tiles / 2, eights>(call);
  const auto kernel = narrow_kernel<T, across, tiles, eights>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
  kernel<<<static_cast<unsigned>((call.rows + tiles * 16 - 1) / (tiles * 16)), warps * 32, memory, call.stream>>>(
      rows_of<const T>(call.x), rows_of<const T>(call.factors), rows_of<T>(call.narrow), rows_of<T>(call.copies.narrow), rows_of<T>(call.copies.x), call.rows,
      static_cast<int>(call.columns), static_cast<int>(call.pad));
}

template <class T, bool across>
void launch_for(const Call& call, int64_t used) {
  if (used <= 16) launch<T, across, 4, 2>(call);
  else if (used <= 32) launch<T, across, 4, 4>(call);
  else if (used <= 48) launch<T, across, 4, 6>(call);
  else launch<T, across, 4, 8>(call);
}

}  // namespace

void narrow_product_cuda(Matrix x, Matrix factors, bool across, Matrix narrow, NarrowCopies copies, Real type, int64_t rows, int64_t columns, int64_t used, int64_t pad,
                         void* stream) {
  if (rows == 0) return;
  const Call call{x, factors, narrow, copies, rows, columns, pad, static_cast<cudaStream_t>(stream)};
  with_sixteen_bits(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    across ? launch_for<T, true>(call, used) : launch_for<T, false>(call, used);
  });
  launched("narrow product kernel");
}

}  // namespace graft::kernels
