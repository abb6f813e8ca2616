// The gate's forward pass (gated.cu), and the narrow products of what it makes with the factors of the update behind it while that is at hand.
#include <algorithm>

#include "gate_tiles.cuh"

namespace graft::kernels {
namespace {

using namespace gate_tiles;

constexpr int warps = 8, stages = 2;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
constexpr int narrow_pitch = rank + 8;

template <Gate gate, class T>
__global__ void __launch_bounds__(warps * 32, 3) gated_updates_kernel(RowsOf<const T> gate_up, RowsOf<T> out, RowsOf<const T> factors, float* strips, int width, int64_t rows,
                                                                      int64_t rows_a_part) {
  extern __shared__ __align__(16) unsigned char room[];
  using Stage = GateTile<T>[2];   // gate and up; then the product and its narrow products
  Stage* const shared = reinterpret_cast<Stage*>(room);
  const int warp = threadIdx.x / 32;
  const GateLane lane;
  const int64_t column = (int64_t{blockIdx.x} * warps + warp) * columns, begin = blockIdx.y * rows_a_part, end = begin + rows_a_part < rows ? begin + rows_a_part : rows;
  const bool active = column < width;
  Stage* const mine = shared + warp * stages;
  unsigned f[columns / 16][4] = {};
  if (active) {
    GateTile<T>& tile = mine[0][0];
#pragma unroll
    for (int i = 0; i < step / 4; ++i) eight_at(&tile[i * 4 + lane.line][lane.at]) = eight_at(factors.row(i * 4 + lane.line) + column + lane.at);
    __syncwarp();
#pragma unroll
    for (int k = 0; k < columns / 16; ++k) load_matrices(f[k], &tile[lane.below][k * 16 + lane.beside]);
    __syncwarp();
  }
  const int stride = static_cast<int>(gate_up.stride), out_stride = static_cast<int>(out.stride);
  const T* from = gate_up.row(begin + lane.line) + column + lane.at;
  T* to = out.row(begin + lane.line) + column + lane.at;
  int ahead = active ? static_cast<int>(end - begin) : 0;
  const auto fetch = [&](int stage) {
#pragma unroll
    for (int i = 0; ahead > 0 && i < step / 4; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const bool there = i * 4 + lane.line < ahead;
        copy_async(&mine[stage][h][i * 4 + lane.line][lane.at], there ? from + i * 4 * stride + h * width : from, there);
      }
    from += step * stride, ahead -= step;
    commit_copies();
  };

  for (int s = 0; s < stages - 1; ++s) fetch(s);
  int stage = 0;
  for (int left = static_cast<int>(end - begin); left > 0; left -= step) {
    await_copies<stages - 2>();
    __syncwarp();
    Stage& tiles = mine[stage];
#pragma unroll
    for (int i = 0; active && i < step / 4; ++i) {
      uint4 x = eight_at(&tiles[0][i * 4 + lane.line][lane.at]), up = eight_at(&tiles[1][i * 4 + lane.line][lane.at]);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 u = unpack(pair_of(up, j), T{}), g = unpack(pair_of(x, j), T{});
        pair_of(x, j) = pack({activated<gate>(g.x).x * u.x, activated<gate>(g.y).x * u.y}, T{});
      }
      eight_at(&tiles[0][i * 4 + lane.line][lane.at]) = x;
      if (i * 4 + lane.line < left) eight_at(to + i * 4 * out_stride) = x;
    }
    to += step * out_stride;
    __syncwarp();
    float p[1][2][4] = {};
#pragma unroll
    for (int k = 0; active && k < columns / 16; ++k) {
      unsigned a[4];
      load_matrices(a, &tiles[0][lane.row][k * 16 + lane.column]);
      multiply(p[0][0], a, f[k][0], f[k][1], T{}), multiply(p[0][1], a, f[k][2], f[k][3], T{});
    }
    leave_narrow(reinterpret_cast<float*>(tiles[1]), narrow_pitch, p);
    __syncthreads();
    fetch(stage == 0 ? stages - 1 : stage - 1);   // where all have added up what the last step left
    add_narrow<warps, 1>(shared[stage][1], stages * sizeof(Stage), narrow_pitch, strips + (int64_t{blockIdx.x} * rows + end - left) * rank, left);
    stage = stage == stages - 1 ? 0 : stage + 1;
  }
}
#else
template <Gate gate, class T>
__global__ void gated_updates_kernel(RowsOf<const T>, RowsOf<T>, RowsOf<const T>, float*, int, int64_t, int64_t) {}
#endif

template <class T>
__global__ void add_strips_kernel(const float* strips, GateStrips of, RowsOf<T> narrow, RowsOf<T> copy, int64_t rows, int pad) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x, row = i / (pad / 8);
  if (row >= rows) return;
  const int column = static_cast<int>(i % (pad / 8)) * 8;
  float sum[8] = {};
  for (int w = 0; w < of.windows; ++w) {
    const int at = column - of.first[w];
    if (at < 0 || at >= gate_tiles::rank) continue;
    const float* from = strips + (row * of.windows + w) * gate_tiles::rank + at;
#pragma unroll 4
    for (int s = 0; s < of.count; ++s) {
      float x[8];
      load_all(from + s * rows * of.windows * gate_tiles::rank, x);
#pragma unroll
      for (int j = 0; j < 8; ++j) sum[j] += x[j];
    }
  }
  put_all(narrow.row(row) + column, sum);
  if (copy) put_all(copy.row(row) + column, sum);
}

constexpr int memory = warps * stages * 2 * step * pitch * 2;

}  // namespace

int gate_strips(int64_t width) { return static_cast<int>((width + warps * columns - 1) / (warps * columns)); }

void gated_updates_cuda(Matrix gate_up, Matrix out, Matrix factors, float* strips, Gate gate, Real type, int64_t rows, int64_t width, void* stream) {
  if (rows == 0) return;
  const int count = gate_strips(width);
  const int64_t parts = std::max<int64_t>(1, 24 * device_fact(cudaDevAttrMultiProcessorCount) / count);   // three blocks at once, eight turns; two steps a block or more
  const int64_t rows_a_part = std::max<int64_t>(2, ((rows + parts - 1) / parts + step - 1) / step) * step;
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>((rows + rows_a_part - 1) / rows_a_part));
  with_gate(gate, [&](auto act) {
    with_sixteen_bits(type, [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      const auto kernel = gated_updates_kernel<act.value, T>;
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
      kernel<<<grid, warps * 32, memory, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(gate_up), rows_of<T>(out), rows_of<const T>(factors), strips, static_cast<int>(width),
                                                                              rows, rows_a_part);
    });
  });
  launched("gated kernel with updates");
}

void add_strips_cuda(const float* strips, GateStrips of, Matrix narrow, Matrix copy, Real type, int64_t rows, int64_t pad, void* stream) {
  if (rows == 0) return;
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    add_strips_kernel<T><<<static_cast<unsigned>((rows * (pad / 8) + 127) / 128), 128, 0, static_cast<cudaStream_t>(stream)>>>(strips, of, rows_of<T>(narrow), rows_of<T>(copy), rows,
                                                                                                                              static_cast<int>(pad));
  });
  launched("strips kernel");
}

}  // namespace graft::kernels
