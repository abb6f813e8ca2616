#pragma once
// The gradient of 64 queries of a head: keys and values pass by, those of the text up to the queries and what texts share.
#include "back_room.cuh"

namespace graft::kernels::head_tiles {

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

}  // namespace graft::kernels::head_tiles
