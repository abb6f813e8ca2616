// Attention of short texts by Hopper's tensor cores: 64 queries of a head a block (Dao 2023, "FlashAttention-2", algorithm 1).
#include "head_tiles.cuh"

namespace graft::kernels {
namespace {

using namespace head_tiles;

template <class T, int halves>
struct Room {
  HeadTile<T, halves> queries, keys[2], values[2];   // keys and values in two stages
  Arrivals arrivals[2];
};

template <class T, int halves>
__global__ void __launch_bounds__(threads) attention_kernel(const __grid_constant__ Maps maps, RowsOf<T> out, float* lse, Layout layout, int group, float scale) {
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& room = *reinterpret_cast<Room<T, halves>*>(memory);
  auto& [queries, keys, values, arrivals] = room;
  const Lane lane;
  const bool leads = threadIdx.x == 0;
  const int head = static_cast<int>(blockIdx.x) % layout.heads, turn = static_cast<int>(blockIdx.x) / layout.heads;
  const Stretch mine = layout.tile(turn % layout.rows, layout.tiles - 1 - turn / layout.rows);   // the longest first
  const int text = layout.text_of(mine.begin).begin, begin = layout.seen_from(0, text);
  const auto bring = [&](int stage, int first) {
    copy_tokens(room.keys[stage], maps.k, head / group, first, room.arrivals[stage]), copy_tokens(room.values[stage], maps.v, head / group, first, room.arrivals[stage]);
  };
  if (leads) {
    begin_all(arrivals);
    arrivals[0].expect(3 * sizeof(queries));
    copy_tokens(queries, maps.q, head, mine.begin, arrivals[0]);
    bring(0, begin);
  }
  const bool one_text = text >= layout.text_of(mine.end - 1).begin;
  int query[2], from[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) query[h] = mine.begin + lane.row + 8 * h, from[h] = layout.text_of(min(query[h], mine.end - 1)).begin;
  HeadSums<halves> sums;
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  for (int first = begin, next, step = 0; first < mine.end; first = next, ++step) {
    const int stage = step % 2;
    next = layout.seen_from(first + side, text);
    __syncthreads();   // what was read may be written; Arrivals have begun
    if (leads && next < mine.end) arrivals[stage ^ 1].expect(2 * sizeof(queries)), bring(stage ^ 1, next);
    arrivals[stage].await(step / 2 % 2);
    ProductSums s;
    begin_products();
    begin_scores(s, queries, keys[stage]);
    await_products<0>();
    hold(s);
    if (first + side > mine.begin || !one_text || layout.is_mixed(first)) blind(s, layout, lane, first, query, from);
    float grown[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float most = largest[h];
#pragma unroll
      for (int i = 0; i < 32; ++i)
        if (half_of(i) == h) most = fmaxf(most, s[i]);
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1)), most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
      const float base = most == -INFINITY ? 0 : most * scale;   // a text that begins further on sees nothing here
      grown[h] = exp2_of(largest[h] * scale - base);
      largest[h] = most;
      float sum = 0;
#pragma unroll
      for (int i = 0; i < 32; ++i)
        if (half_of(i) == h) sum += s[i] = exp2_of(s[i] * scale - base);
      total[h] = total[h] * grown[h] + sum;
    }
    sums.multiply(grown);
    unsigned weights[16];
    packed<T>(weights, s);
    sums.hold();
    begin_products();
    begin_sums(sums, weights, values[stage]);
    await_products<0>();
    sums.hold();
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    total[h] += __shfl_xor_sync(0xffffffffu, total[h], 1), total[h] += __shfl_xor_sync(0xffffffffu, total[h], 2);
    if (lane.column == 0 && query[h] < mine.end) lse[head * int64_t{layout.tokens} + query[h]] = largest[h] * scale + log2f(total[h]);
    total[h] = 1 / total[h];
  }
  sums.multiply(total);
  out.data += head * halves * side;
  write_rows(sums, queries, out, mine);
}

}  // namespace

void attention_cuda(const TextAttention& on, Matrix out, float* lse, Real type, void* stream) {
  if (on.tokens == 0) return;
  with_heads(type, on.head_dim, [&](auto* t, auto halves) {
    using T = std::remove_pointer_t<decltype(t)>;
    const Layout layout = layout_of(on);
    const auto blocks = static_cast<unsigned>(layout.heads * layout.rows * layout.tiles);
    constexpr int bytes = sizeof(Room<T, halves.value>);
    auto* const kernel = attention_kernel<T, halves.value>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    kernel<<<blocks, threads, bytes, static_cast<cudaStream_t>(stream)>>>(maps_of(on, type), rows_of<T>(out), lse, layout, static_cast<int>(on.heads / on.kv_heads),
                                                                          on.scale * log2_of_e);
  });
  launched("attention kernel");
}

}  // namespace graft::kernels
