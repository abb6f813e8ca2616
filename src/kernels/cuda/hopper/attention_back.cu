// The way back through attention (attention.cu): 64 queries or 64 keys of a head a block. A query's gradient and a key's are summed by the blocks that own them,
// in one order (Dao 2023, "FlashAttention-2", section 3, has queries' sums meet in memory): nothing is filled with zeros before, added to by others or
// converted after.
#include "keys_back.cuh"
#include "queries_back.cuh"

namespace graft::kernels {
namespace {

using namespace head_tiles;

/// Of each query and head, the sum of its output times that output's gradient: [heads, tokens]. A thread for eight columns.
template <class T, int halves>
__global__ void __launch_bounds__(threads) output_sums_kernel(RowsOf<const T> out, RowsOf<const T> grad, float* to, int64_t tokens, int heads) {
  constexpr int pieces = halves * side / 8;
  const int64_t each = (int64_t{blockIdx.x} * threads + threadIdx.x) / pieces, token = each / heads, head = each % heads;
  const int piece = threadIdx.x % pieces;
  float sum = 0;
  if (token < tokens) {
    float a[8], b[8];
    load_all(out.row(token) + (head * pieces + piece) * 8, a);
    load_all(grad.row(token) + (head * pieces + piece) * 8, b);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += a[i] * b[i];
  }
  sum = sum_of_lanes(sum, pieces);
  if (piece == 0 && token < tokens) to[head * tokens + token] = sum;
}

template <class T, int halves>
__global__ void __launch_bounds__(threads, halves == 1 ? 3 : 2) attention_backward_kernel(const __grid_constant__ Back<T> all) {
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& room = *reinterpret_cast<BackRoom<T, halves>*>(memory);
  // The longest first: of queries the row's last tiles, of keys its first.
  const int head = static_cast<int>(blockIdx.x) % all.layout.heads, turn = static_cast<int>(blockIdx.x) / all.layout.heads;
  const int row = turn / 2 % all.layout.rows, index = turn / 2 / all.layout.rows;
  if (turn % 2 == 0) keys_back(all, room, head, all.layout.tile(row, index));
  else queries_back(all, room, head, all.layout.tile(row, all.layout.tiles - 1 - index));
}

}  // namespace

void attention_backward_cuda(const TextAttention& on, const TextAttentionBack& back, Real type, void* stream) {
  if (on.tokens == 0) return;
  const auto own = static_cast<cudaStream_t>(stream);
  with_heads(type, on.head_dim, [&](auto* t, auto halves) {
    using T = std::remove_pointer_t<decltype(t)>;
    const auto eights = static_cast<unsigned>((on.tokens * on.heads * on.head_dim / 8 + threads - 1) / threads);
    output_sums_kernel<T, halves.value><<<eights, threads, 0, own>>>(rows_of<const T>(back.out), rows_of<const T>(back.grad), back.room, on.tokens, static_cast<int>(on.heads));
    Back<T> all{maps_of(on, type), back.lse, back.room, back.cosine, back.sine, rows_of<T>(back.dq), rows_of<T>(back.dk), rows_of<T>(back.dv), layout_of(on),
                static_cast<int>(on.heads / on.kv_heads), on.scale * log2_of_e};
    all.maps.grad = map_of(back.grad, type, on.tokens, on.heads * on.head_dim);
    constexpr int bytes = sizeof(BackRoom<T, halves.value>);
    auto* const kernel = attention_backward_kernel<T, halves.value>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension, cluster.val.clusterDim = {static_cast<unsigned>(all.group), 1, 1};
    cudaLaunchConfig_t launch{};
    launch.gridDim = static_cast<unsigned>(2 * all.layout.heads * all.layout.rows * all.layout.tiles), launch.blockDim = threads;
    launch.dynamicSmemBytes = bytes, launch.stream = own, launch.attrs = &cluster, launch.numAttrs = 1;
    cudaLaunchKernelEx(&launch, kernel, all);
  });
  launched("attention backward kernels");
}

}  // namespace graft::kernels
