#pragma once
// What attention's kernels work on: 64 tokens of a head a tile, each block having its own and the others passing by in two stages; products of tiles, and which
// of their scores count. The forward pass stands in attention.cu, the way back in attention_back.cu.
#include <cuda_runtime.h>

#include "graft/kernels/attention.h"
#include "pairs.cuh"
#include "vectors.cuh"
#include "wgmma.cuh"

namespace graft::kernels::head_tiles {

constexpr int side = 64, threads = 128;   // of a tile; a warpgroup
constexpr float log2_of_e = 1.4426950408889634f;

/// Tokens from one on up to another.
struct Stretch {
  int begin, end;
};

/// Rows of `columns` tokens, one text each; or texts of any lengths, each token's being named.
struct Layout {
  const int2* texts;
  int tokens, columns, rows, tiles, heads;   // tiles of a row
  int shared;                                // tokens at the beginning that all others see

  __device__ Stretch text_of(int token) const {
    if (texts) return {texts[token].x, texts[token].y};
    const int begin = token / columns * columns;
    return {begin, begin + columns};
  }
  /// Of queries whose text begins at `text`, the first key from `key` on that they see: what is shared, then their own.
  __device__ int seen_from(int key, int text) const { return key < shared ? key : max(key, text); }
  /// Whether some of a tile of keys is shared, and some is not.
  __device__ bool is_mixed(int first) const { return first < shared && first + side > shared; }
  __device__ Stretch tile(int row, int index) const {
    const int begin = row * columns + index * side, end = (row + 1) * columns;
    return {begin, min(begin + side, end)};
  }
};

__device__ inline float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Where a thread's two rows of a product's sums stand in a tile, and its first column.
struct Lane {
  int row = static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4, column = static_cast<int>(threadIdx.x) % 4 * 2;
};
__device__ constexpr int half_of(int i) { return i / 2 % 2; }
__device__ constexpr int column_of(int i) { return i / 4 * 8 + i % 2; }

/// 64 tokens of a head of 64 or 128 columns; and sums of as many.
template <class T, int halves>
struct HeadTile {
  SwizzledTile<T> half[halves];
};
template <int halves>
struct HeadSums {
  ProductSums half[halves] = {};
  /// Each of a thread's two rows by its own.
  __device__ void multiply(const float (&by)[2]) {
#pragma unroll
    for (int n = 0; n < halves; ++n)
#pragma unroll
      for (int i = 0; i < 32; ++i) half[n][i] *= by[half_of(i)];
  }
  /// Nothing that uses them moves past here.
  __device__ void hold() {
#pragma unroll
    for (int n = 0; n < halves; ++n) kernels::hold(half[n]);
  }
  /// A column of the head's first half, and the one as far in its second.
  __device__ float& first(int i) { return half[0][i]; }
  __device__ float& second(int i) { return halves == 1 ? half[0][i + 16] : half[halves - 1][i]; }
  static constexpr int pairs = 16 * halves;
};

/// By one thread, of the head's tokens from `token` on.
template <class T, int halves>
__device__ void copy_tokens(HeadTile<T, halves>& to, const CUtensorMap& from, int head, int token, Arrivals& tells) {
#pragma unroll
  for (int n = 0; n < halves; ++n) copy_tile(to.half[n], from, (head * halves + n) * side, token, tells);
}

/// s = a b^T, of tokens and tokens.
template <class T, int halves>
__device__ void begin_scores(ProductSums& s, const HeadTile<T, halves>& a, const HeadTile<T, halves>& b) {
#pragma unroll
  for (int n = 0; n < halves; ++n) begin_product(s, a.half[n], b.half[n], n > 0);
  commit_products();
}
/// sums += weights b.
template <class T, int halves>
__device__ void begin_sums(HeadSums<halves>& sums, const unsigned (&weights)[16], const HeadTile<T, halves>& b) {
#pragma unroll
  for (int n = 0; n < halves; ++n) begin_product(sums.half[n], weights, b.half[n]);
  commit_products();
}
/// Sums as a next product takes them from registers.
template <class T>
__device__ void packed(unsigned (&to)[16], const ProductSums& d) {
#pragma unroll
  for (int i = 0; i < 16; ++i) to[i] = pack({d[2 * i], d[2 * i + 1]}, T());
}

/// Sums of a tile's rows into a matrix, through the tile's memory, of which a warp writes and reads its own sixteen rows.
template <class T, int halves>
__device__ void write_rows(const HeadSums<halves>& sums, HeadTile<T, halves>& through, RowsOf<T> to, const Stretch& mine) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  __syncthreads();   // products of other warps may still read the tile
#pragma unroll
  for (int n = 0; n < halves; ++n)
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int row = warp * 16 + i % 2 * 8 + lane / 4;
      *reinterpret_cast<unsigned*>(through.half[n].piece(row, i / 2) + lane % 4 * 2) = pack({sums.half[n][2 * i], sums.half[n][2 * i + 1]}, T());
    }
  __syncwarp();
#pragma unroll
  for (int n = 0; n < halves; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = warp * 16 + i * 4 + lane / 8, piece = lane % 8;
      if (mine.begin + row < mine.end) eight_at(to.row(mine.begin + row) + n * side + piece * 8) = eight_at(through.half[n].piece(row, piece));
    }
}

/// Scores of queries (rows) and keys from `first` on: what a query does not see weighs nothing.
__device__ inline void blind(ProductSums& s, const Layout& layout, const Lane& lane, int first, const int (&query)[2], const int (&from)[2]) {
#pragma unroll
  for (int i = 0; i < 32; ++i)
    if (const int key = first + lane.column + column_of(i); key > query[half_of(i)] || (key < from[half_of(i)] && key >= layout.shared)) s[i] = -INFINITY;
}

struct Maps {
  CUtensorMap q, k, v, grad;
};

inline Layout layout_of(const TextAttention& on) {
  const auto columns = static_cast<int>(on.columns);
  return {reinterpret_cast<const int2*>(on.texts), static_cast<int>(on.tokens), columns, static_cast<int>(on.tokens / columns), (columns + side - 1) / side,
          static_cast<int>(on.heads), static_cast<int>(on.shared)};
}

/// As copy_tile reads a matrix of so many columns.
inline CUtensorMap map_of(Matrix m, Real type, int64_t rows, int64_t columns) {
  static const auto encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult how;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &how) != cudaSuccess || !found)
      throw std::runtime_error("attention kernel: the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found);
  }();
  CUtensorMap map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)}, strides[] = {static_cast<cuuint64_t>(m.stride * 2)};
  const cuuint32_t box[] = {side, side}, each[] = {1, 1};
  const CUresult result = encode(&map, type == Real::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, m.data, sizes, strides, box, each,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw std::runtime_error("attention kernel: a matrix does not lie as tensor copies want it (error " + std::to_string(result) + ")");
  return map;
}

inline Maps maps_of(const TextAttention& on, Real type) {
  return {map_of(on.q, type, on.tokens, on.heads * on.head_dim), map_of(on.k, type, on.tokens, on.kv_heads * on.head_dim), map_of(on.v, type, on.tokens, on.kv_heads * on.head_dim), {}};
}

/// f with the type, and the halves of a head.
template <class F>
void with_heads(Real type, int64_t head_dim, F&& f) {
  with_sixteen_bits(type, [&](auto* t) {
    if (head_dim == side) f(t, std::integral_constant<int, 1>{});
    else f(t, std::integral_constant<int, 2>{});
  });
}

}  // namespace graft::kernels::head_tiles
