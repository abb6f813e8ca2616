// The gate's backward pass (gated.cu), and what low-rank updates ask of what it makes while that is at hand: sums over tokens of the product, which is not
// written at all, and of the gradients, and these gradients' narrow products.
#include <algorithm>

#include "gate_tiles.cuh"

namespace graft::kernels {
namespace {

using namespace gate_tiles;

constexpr int warps = 8, stages = 3, made = 3, narrow_pitch = made * rank + 8;

struct Updates {
  GateSum sums[made];    // the product's, dgate's, dup's
  Matrix factors[2];
};

/// What one step is brought in as.
template <class T>
struct Stage {
  GateTile<T> tiles[made];   // grad, gate, up; then the product, dgate, dup; then narrow products in the product's place
  T narrow[step][narrow_pitch];
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
constexpr int strip_pitch = 2 * rank + 8, factor_pitch = rank + 8;

template <Gate gate, class T>
__global__ void __launch_bounds__(warps * 32) gated_backward_updates_kernel(RowsOf<const T> grad, RowsOf<const T> gate_up, RowsOf<T> d_gate_up, Updates updates, float* strips,
                                                                            int width, int64_t rows, int64_t rows_a_part) {
  extern __shared__ __align__(16) unsigned char room[];
  Stage<T>* const shared = reinterpret_cast<Stage<T>*>(room);
  const int warp = threadIdx.x / 32;
  const GateLane lane;
  const int64_t column = (int64_t{blockIdx.x} * warps + warp) * columns, begin = blockIdx.y * rows_a_part, end = begin + rows_a_part < rows ? begin + rows_a_part : rows;
  const bool active = column < width;
  Stage<T>* const mine = shared + warp * stages;

  unsigned f[2][columns / 16][4] = {};   // the factors of this warp's columns
  if (active) {
    auto* const to = reinterpret_cast<T(*)[columns][factor_pitch]>(mine);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int h = i / 4, k = i % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 2, half = static_cast<int>(threadIdx.x) % 2 * 8;
      const RowsOf<const T> from{static_cast<const T*>(updates.factors[h].data), updates.factors[h].stride};
      eight_at(&to[h][k][half]) = eight_at(from.row(column + k) + half);
    }
    __syncwarp();
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
      for (int k = 0; k < columns / 16; ++k) load_transposed(f[h][k], &to[h][k * 16 + lane.row][lane.column]);
    __syncwarp();
  }

  float c[made][columns / 8][4] = {};   // sums: 16 rows, 8 columns, a lane's share
  const int grad_stride = static_cast<int>(grad.stride), stride = static_cast<int>(gate_up.stride), out_stride = static_cast<int>(d_gate_up.stride);
  const T *from_grad = grad.row(begin + lane.line) + column + lane.at, *from_gate = gate_up.row(begin + lane.line) + column + lane.at, *from_narrow[made];
  T* to = d_gate_up.row(begin + lane.line) + column + lane.at;
  const int narrow_row = static_cast<int>(threadIdx.x) % 32 / 2, narrow_column = static_cast<int>(threadIdx.x) % 2 * 8;
#pragma unroll
  for (int m = 0; m < made; ++m)
    from_narrow[m] = static_cast<const T*>(updates.sums[m].narrow.data) + (begin + narrow_row) * updates.sums[m].narrow.stride + narrow_column;
  int ahead = active ? static_cast<int>(end - begin) : 0;
  const auto fetch = [&](Stage<T>& stage) {
    if (ahead > 0) {
#pragma unroll
      for (int i = 0; i < step / 4; ++i) {
        const int row = i * 4 + lane.line;
        const bool there = row < ahead;
        copy_async(&stage.tiles[0][row][lane.at], there ? from_grad + i * 4 * grad_stride : from_grad, there);
        copy_async(&stage.tiles[1][row][lane.at], there ? from_gate + i * 4 * stride : from_gate, there);
        copy_async(&stage.tiles[2][row][lane.at], there ? from_gate + i * 4 * stride + width : from_gate, there);
      }
#pragma unroll
      for (int m = 0; m < made; ++m) {
        copy_async(&stage.narrow[narrow_row][m * rank + narrow_column], narrow_row < ahead ? from_narrow[m] : updates.sums[m].narrow.data, narrow_row < ahead);
        from_narrow[m] += step * static_cast<int>(updates.sums[m].narrow.stride);
      }
      from_grad += step * grad_stride, from_gate += step * stride, ahead -= step;
    }
    commit_copies();
  };

  for (int s = 0; s < stages - 1; ++s) fetch(mine[s]);
  int at = 0;
  for (int left = static_cast<int>(end - begin); left > 0; left -= step) {
    await_copies<stages - 2>();
    __syncwarp();
    Stage<T>& stage = mine[at];
    float p[2][2][4] = {};
    if (active) {
#pragma unroll
      for (int i = 0; i < step / 4; ++i) {
        const int row = i * 4 + lane.line;
        uint4 d = eight_at(&stage.tiles[0][row][lane.at]), x = eight_at(&stage.tiles[1][row][lane.at]), up = eight_at(&stage.tiles[2][row][lane.at]);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float2 given = unpack(pair_of(d, j), T{}), u = unpack(pair_of(up, j), T{}), g = unpack(pair_of(x, j), T{});
          const float2 first = activated<gate>(g.x), second = activated<gate>(g.y);
          pair_of(d, j) = pack({first.x * u.x, second.x * u.y}, T{});
          pair_of(x, j) = pack({given.x * u.x * first.y, given.y * u.y * second.y}, T{});
          pair_of(up, j) = pack({given.x * first.x, given.y * second.x}, T{});
        }
        eight_at(&stage.tiles[0][row][lane.at]) = d, eight_at(&stage.tiles[1][row][lane.at]) = x, eight_at(&stage.tiles[2][row][lane.at]) = up;
        if (row < left) eight_at(to + i * 4 * out_stride) = x, eight_at(to + i * 4 * out_stride + width) = up;
      }
      to += step * out_stride;
      __syncwarp();
#pragma unroll
      for (int m = 0; m < made; ++m) {
        unsigned a[4];
        load_transposed(a, &stage.narrow[lane.below][m * rank + lane.beside]);
#pragma unroll
        for (int n = 0; n < columns / 16; ++n) {
          unsigned b[4];
          load_transposed(b, &stage.tiles[m][lane.row][n * 16 + lane.column]);
          multiply(c[m][2 * n], a, b[0], b[1], T{}), multiply(c[m][2 * n + 1], a, b[2], b[3], T{});
        }
      }
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int k = 0; k < columns / 16; ++k) {
          unsigned a[4];
          load_matrices(a, &stage.tiles[1 + h][lane.row][k * 16 + lane.column]);
          multiply(p[h][0], a, f[h][k][0], f[h][k][1], T{}), multiply(p[h][1], a, f[h][k][2], f[h][k][3], T{});
        }
      __syncwarp();
    }
    leave_narrow(reinterpret_cast<float*>(stage.tiles[0]), strip_pitch, p);
    __syncthreads();
    fetch(mine[at == 0 ? stages - 1 : at - 1]);   // where all have added up what the last step left
    add_narrow<warps, 2>(shared[at].tiles[0], stages * sizeof(Stage<T>), strip_pitch, strips + (int64_t{blockIdx.x} * rows + end - left) * 2 * rank, left);
    at = at == stages - 1 ? 0 : at + 1;
  }
  if (!active) return;
#pragma unroll
  for (int m = 0; m < made; ++m)
#pragma unroll
    for (int n = 0; n < columns / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const GateSum& sum = updates.sums[m];
        float* const out = sum.sums + blockIdx.y * sum.part + (threadIdx.x % 32 / 4 + half * 8) * sum.row + column + n * 8 + threadIdx.x % 4 * 2;
        *reinterpret_cast<float2*>(out) = {c[m][n][2 * half], c[m][n][2 * half + 1]};
      }
}
#else
template <Gate gate, class T>
__global__ void gated_backward_updates_kernel(RowsOf<const T>, RowsOf<const T>, RowsOf<T>, Updates, float*, int, int64_t, int64_t) {}
#endif

constexpr int memory = warps * stages * static_cast<int>(sizeof(Stage<__half>));   // most of Hopper's; other GPUs go without

}  // namespace

/// As many turns of all multiprocessors, a block each, as leave a block 512 rows; one at least.
GateCut gate_cut(int64_t tokens, int64_t width) {
  if (device_fact(cudaDevAttrMaxSharedMemoryPerBlockOptin) < memory) return {0, 0};
  const int64_t strips = (width + warps * columns - 1) / (warps * columns), processors = device_fact(cudaDevAttrMultiProcessorCount);
  const int64_t turns = std::max<int64_t>(1, tokens * strips / (512 * processors)), most = std::max<int64_t>(1, tokens / step);
  return {static_cast<int>(std::clamp<int64_t>(turns * processors / strips, 1, most)), static_cast<int>(strips)};
}

void gated_backward_updates_cuda(Matrix grad, Matrix gate_up, Matrix d_gate_up, GateSum product, GateSum gate, GateSum up, Matrix gate_factors, Matrix up_factors, float* strips,
                                 GateCut cut, Gate act, Real type, int64_t rows, int64_t width, void* stream) {
  const int64_t rows_a_part = ((rows + cut.parts - 1) / cut.parts + step - 1) / step * step;
  const Updates updates{{product, gate, up}, {gate_factors, up_factors}};
  with_gate(act, [&](auto act_of) {
    with_sixteen_bits(type, [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      const auto kernel = gated_backward_updates_kernel<act_of.value, T>;
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
      kernel<<<dim3(static_cast<unsigned>(cut.strips), static_cast<unsigned>(cut.parts)), warps * 32, memory, static_cast<cudaStream_t>(stream)>>>(
          rows_of<const T>(grad), rows_of<const T>(gate_up), rows_of<T>(d_gate_up), updates, strips, static_cast<int>(width), rows, rows_a_part);
    });
  });
  launched("gated backward kernel with updates");
}

}  // namespace graft::kernels
