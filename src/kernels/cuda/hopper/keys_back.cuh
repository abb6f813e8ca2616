#pragma once
// The gradients of 64 keys of a head and their values: the queries that see them pass by, and the heads of a group meet in a cluster.
#include <cooperative_groups.h>

#include "back_room.cuh"

namespace graft::kernels::head_tiles {

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

}  // namespace graft::kernels::head_tiles
