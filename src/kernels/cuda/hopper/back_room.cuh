#pragma once
// What both halves of attention's way back (attention_back.cu) are told, keep and begin a step with.
#include "head_tiles.cuh"

namespace graft::kernels::head_tiles {

/// A pair of columns, `half` apart, turned back.
__device__ inline void turn_back(float& x, float& y, float cosine, float sine) {
  const float a = x;
  x = a * cosine + y * sine;
  y = y * cosine - a * sine;
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

}  // namespace graft::kernels::head_tiles
