// The way back through attention (attention.cu): 64 queries or 64 keys of a head a block. A query's gradient and a key's are summed by the blocks that own them,
// in one order (Dao 2023, "FlashAttention-2", section 3, has queries' sums meet in memory): nothing is filled with zeros before, added to by others or
// converted after.
#include <cooperative_groups.h>

#include "head_tiles.cuh"

namespace graft::kernels {
namespace {

using namespace head_tiles;

/// A pair of columns, `half` apart, turned back.
__device__ inline void turn_back(float& x, float& y, float cosine, float sine) {
  const float a = x;
  x = a * cosine + y * sine;
  y = y * cosine - a * sine;
}

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

template <class T>
struct Back {
  Maps maps;
  const float *lse, *output_sums, *cosine, *sine;
  RowsOf<T> dq, dk, dv;
  Layout layout;
  int group;
  float scale;
};

template <class T, int halves>
struct BackRoom {
  HeadTile<T, halves> own[2], passing[2][2];   // what a block owns, and what passes by, in two stages
  float lse[2][side], output_sums[2][side];
  Arrivals arrivals[2];
};

/// What the block owns times what passes by: s is there behind it, d on its way.
template <class T, int halves>
__device__ void begin_step(ProductSums& s, ProductSums& d, BackRoom<T, halves>& room, int step) {
  const int stage = step % 2;
  room.arrivals[stage].await(step / 2 % 2);
  begin_products();
  begin_scores(s, room.own[0], room.passing[stage][0]);
  begin_scores(d, room.own[1], room.passing[stage][1]);
  await_products<1>();
  hold(s);
}

template <class T, int halves>
__device__ void queries_back(const Back<T>& all, BackRoom<T, halves>& room, int head, const Stretch& mine) {
  const Lane lane;
  const bool leads = threadIdx.x == 0;
  const int text = all.layout.text_of(mine.begin).begin, begin = all.layout.seen_from(0, text);
  const auto bring = [&](int stage, int first) {
    copy_tokens(room.passing[stage][0], all.maps.k, head / all.group, first, room.arrivals[stage]);
    copy_tokens(room.passing[stage][1], all.maps.v, head / all.group, first, room.arrivals[stage]);
  };
  if (leads) {
    begin_all(room.arrivals);
    room.arrivals[0].expect(2 * sizeof(room.own));
    copy_tokens(room.own[0], all.maps.q, head, mine.begin, room.arrivals[0]), copy_tokens(room.own[1], all.maps.grad, head, mine.begin, room.arrivals[0]);
    bring(0, begin);
  }
  const bool one_text = text >= all.layout.text_of(mine.end - 1).begin;
  int query[2], from[2];
  float lse[2], subtracted[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    query[h] = mine.begin + lane.row + 8 * h;
    const int token = min(query[h], mine.end - 1);
    from[h] = all.layout.text_of(token).begin;
    lse[h] = all.lse[head * int64_t{all.layout.tokens} + token], subtracted[h] = all.output_sums[head * int64_t{all.layout.tokens} + token];
  }
  HeadSums<halves> sums;
  for (int first = begin, next, step = 0; first < mine.end; first = next, ++step) {
    const int stage = step % 2;
    next = all.layout.seen_from(first + side, text);
    __syncthreads();
    if (leads && next < mine.end) room.arrivals[stage ^ 1].expect(sizeof(room.own)), bring(stage ^ 1, next);
    ProductSums s, d;
    begin_step(s, d, room, step);
    if (first + side > mine.begin || !one_text || all.layout.is_mixed(first)) blind(s, all.layout, lane, first, query, from);
#pragma unroll
    for (int i = 0; i < 32; ++i) s[i] = exp2_of(s[i] * all.scale - lse[half_of(i)]);
    await_products<0>();
    hold(d);
#pragma unroll
    for (int i = 0; i < 32; ++i) s[i] *= d[i] - subtracted[half_of(i)];
    unsigned changes[16];
    packed<T>(changes, s);
    sums.hold();
    begin_products();
    begin_sums(sums, changes, room.passing[stage][0]);
    await_products<0>();
    sums.hold();
  }
  const float scale = all.scale / log2_of_e;
  sums.multiply({scale, scale});
  if (all.cosine) {
#pragma unroll
    for (int i = 0; i < sums.pairs; ++i) {
      const int64_t at = min(query[half_of(i)], mine.end - 1) * int64_t{halves * side / 2} + lane.column + column_of(i);
      turn_back(sums.first(i), sums.second(i), all.cosine[at], all.sine[at]);
    }
  }
  RowsOf<T> dq = all.dq;
  dq.data += head * halves * side;
  write_rows(sums, room.own[0], dq, mine);
}

/// Sums of a block's tile for the others of its cluster: in pieces of four columns, swizzled.
using Shared = float4[side][side / 4];

template <int halves>
__device__ void leave(Shared* to, const HeadSums<halves>& sums) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < halves; ++n)
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int row = warp * 16 + i % 2 * 8 + lane / 4, column = i / 2 * 8 + lane % 4 * 2;
      reinterpret_cast<float2*>(&to[n][row][(column / 4) ^ (row & 7)])[column % 4 / 2] = {sums.half[n][2 * i], sums.half[n][2 * i + 1]};
    }
}
__device__ inline void add(float4& to, const float4& x) { to.x += x.x, to.y += x.y, to.z += x.z, to.w += x.w; }
__device__ inline void multiply(float4& x, float by) { x.x *= by, x.y *= by, x.z *= by, x.w *= by; }
template <class T>
__device__ void put_four(T* to, const float4& x) {
  *reinterpret_cast<uint2*>(to) = {pack({x.x, x.y}, T()), pack({x.z, x.w}, T())};
}
/// Until nobody reads this block's memory any more; what it has written elsewhere need not have come.
__device__ inline void leave_cluster() { asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory"); }

template <class T, int halves>
__device__ void keys_back(const Back<T>& all, BackRoom<T, halves>& room, int head, const Stretch& mine) {
  const Lane lane;
  const int thread = static_cast<int>(threadIdx.x), own = head / all.group;
  const int first_end = all.layout.text_of(mine.begin).end, last_end = all.layout.text_of(mine.end - 1).end, end = max(first_end, last_end);   // shared keys' is the last
  const bool leads = thread == 0;
  // Of the queries that pass by, half of the threads know the one number, half the other.
  const float* const of_queries = (thread < side ? all.lse : all.output_sums) + head * int64_t{all.layout.tokens} + thread % side;
  float* const kept = thread < side ? &room.lse[0][thread] : &room.output_sums[0][thread - side];
  const auto bring = [&](int stage, int first) {
    copy_tokens(room.passing[stage][0], all.maps.q, head, first, room.arrivals[stage]);
    copy_tokens(room.passing[stage][1], all.maps.grad, head, first, room.arrivals[stage]);
  };
  const auto number_of = [&](int first) { return first + thread % side < end ? of_queries[first] : 0.0f; };
  if (leads) {
    begin_all(room.arrivals);
    room.arrivals[0].expect(2 * sizeof(room.own));
    copy_tokens(room.own[0], all.maps.k, own, mine.begin, room.arrivals[0]), copy_tokens(room.own[1], all.maps.v, own, mine.begin, room.arrivals[0]);
    bring(0, mine.begin);
  }
  kept[0] = number_of(mine.begin);
  const bool one_text = mine.end - mine.begin == side && first_end == last_end;
  int key[2], until[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) key[h] = mine.begin + lane.row + 8 * h, until[h] = key[h] < mine.end ? all.layout.text_of(key[h]).end : 0;
  HeadSums<halves> keys, values;
  for (int first = mine.begin, step = 0; first < end; first += side, ++step) {
    const int stage = step % 2;
    const bool more = first + side < end;
    __syncthreads();
    if (leads && more) room.arrivals[stage ^ 1].expect(sizeof(room.own)), bring(stage ^ 1, first + side);
    const float next = more ? number_of(first + side) : 0;
    ProductSums s, d;
    begin_step(s, d, room, step);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float2 less = *reinterpret_cast<const float2*>(room.lse[stage] + i * 8 + lane.column);
#pragma unroll
      for (int j = 0; j < 4; ++j) s[4 * i + j] = exp2_of(s[4 * i + j] * all.scale - (j % 2 ? less.y : less.x));
    }
    if (first == mine.begin || first + side > end || !one_text) {
#pragma unroll
      for (int i = 0; i < 32; ++i)
        if (const int query = first + lane.column + column_of(i); query < key[half_of(i)] || query >= until[half_of(i)]) s[i] = 0;
    }
    unsigned weights[16], changes[16];
    packed<T>(weights, s);
    values.hold();
    begin_products();
    begin_sums(values, weights, room.passing[stage][1]);
    await_products<1>();
    hold(d);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float2 less = *reinterpret_cast<const float2*>(room.output_sums[stage] + i * 8 + lane.column);
#pragma unroll
      for (int j = 0; j < 4; ++j) s[4 * i + j] *= d[4 * i + j] - (j % 2 ? less.y : less.x);
    }
    packed<T>(changes, s);
    keys.hold();
    begin_products();
    begin_sums(keys, changes, room.passing[stage][0]);
    kept[(stage ^ 1) * side] = next;
    await_products<0>();
    values.hold(), keys.hold();
  }
  // The group's heads meet: each block adds up and writes its share.
  const auto cluster = cooperative_groups::this_cluster();
  Shared* const shared = reinterpret_cast<Shared*>(&room.passing);
  __syncthreads();
  leave(shared, keys), leave(shared + halves, values);
  cluster.sync();
  const float scale = all.scale / log2_of_e;
  RowsOf<T> dk = all.dk, dv = all.dv;
  dk.data += own * halves * side, dv.data += own * halves * side;
  constexpr int at_once = 4, pieces = halves * side / 8, count = 2 * side * pieces;   // pieces of four columns of a head's first half; those of its second go with them
  const int stride = all.group * threads;
  for (int begin = static_cast<int>(cluster.block_rank()) * threads + thread; begin < count; begin += at_once * stride) {
    float4 made[at_once][2] = {};
    for (int rank = 0; rank < all.group; ++rank)
#pragma unroll
      for (int u = 0; u < at_once; ++u)
        if (const int i = begin + u * stride, row = i / pieces % side; i < count)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int piece = i % pieces + h * pieces;
            add(made[u][h], *cluster.map_shared_rank(&shared[i / (side * pieces) * halves + piece / 16][row][piece % 16 ^ (row & 7)], static_cast<unsigned>(rank)));
          }
#pragma unroll
    for (int u = 0; u < at_once; ++u) {
      const int i = begin + u * stride, token = mine.begin + i / pieces % side, column = i % pieces * 4;
      if (i >= count || token >= mine.end) continue;
      auto& [x, y] = made[u];
      const bool of_keys = i < side * pieces;
      if (of_keys) {
        multiply(x, scale), multiply(y, scale);
        if (all.cosine) {
          const int64_t at = token * int64_t{halves * side / 2} + column;
          const float4 c = *reinterpret_cast<const float4*>(all.cosine + at), s = *reinterpret_cast<const float4*>(all.sine + at);
          turn_back(x.x, y.x, c.x, s.x), turn_back(x.y, y.y, c.y, s.y), turn_back(x.z, y.z, c.z, s.z), turn_back(x.w, y.w, c.w, s.w);
        }
      }
      T* const to = (of_keys ? dk : dv).row(token) + column;
      put_four(to, x), put_four(to + halves * side / 2, y);
    }
  }
  leave_cluster();
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
