#include "panels.h"

#include <algorithm>

#include "wide.h"

namespace graft::kernels {
namespace {

constexpr int64_t depth_block = 128;   // of a panel that stays in the first cache
using Vector8 = float __attribute__((vector_size(32), aligned(4), may_alias));
using Vector16 = float __attribute__((vector_size(64), aligned(4), may_alias));

/// 32 registers of 16 numbers, not 16 of 8: a vector that no register holds would go through memory.
bool has_wide_registers() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

/// `from` as it lies: its rows are the depth.
template <class T>
GRAFT_INLINE void pack_rows(const T* from, int64_t stride, int64_t rows, int64_t columns, Panels& to) {
  to.set_depth(rows);
  for (int64_t first = 0; first < to.columns(); first += panel) {
    const int64_t here = std::min(panel, columns - first);
    float* row = to.at(first);
    for (int64_t i = 0; i < rows; ++i, row += panel) {
      const T* source = from + i * stride + first;
      if (here == panel) {
        for (int64_t c = 0; c < panel; ++c) row[c] = to_float(source[c]);
      } else {
        for (int64_t c = 0; c < panel; ++c) row[c] = c < here ? to_float(source[c]) : 0.0f;
      }
    }
  }
}

/// Its transpose: its columns are the depth.
template <class T>
GRAFT_INLINE void pack_columns(const T* from, int64_t stride, int64_t rows, int64_t columns, Panels& to) {
  to.set_depth(columns);
  for (int64_t first = 0; first < to.columns(); first += panel) {
    float* column = to.at(first);
    const T* source = from + first * stride;
    const int64_t here = std::min(panel, rows - first);
    for (int64_t c = 0; c < columns; ++c, column += panel) {
      if (here == panel) {
        for (int64_t i = 0; i < panel; ++i) column[i] = to_float(source[i * stride + c]);
      } else {
        for (int64_t i = 0; i < panel; ++i) column[i] = i < here ? to_float(source[i * stride + c]) : 0.0f;
      }
    }
  }
}

template <class Vector, int rows, int vectors>
GRAFT_INLINE void multiply_tile(Left a, const float* b, int64_t depth, float* c, int64_t c_stride, bool add) {
  constexpr int64_t width = sizeof(Vector) / sizeof(float);
  Vector sums[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) sums[r][v] = add ? *reinterpret_cast<const Vector*>(c + r * c_stride + v * width) : Vector{};
  for (int64_t p = 0; p < depth; ++p, b += panel) {
    Vector right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = *reinterpret_cast<const Vector*>(b + v * width);
    for (int r = 0; r < rows; ++r) {
      const float left = a.data[r * a.row_step + p * a.column_step];
      for (int v = 0; v < vectors; ++v) sums[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) *reinterpret_cast<Vector*>(c + r * c_stride + v * width) = sums[r][v];
}

/// As many rows and columns at once as registers hold sums of.
template <class Vector, int most_rows, int vectors>
GRAFT_INLINE void multiply_rows(Left a, const float* b, int64_t rows, int64_t depth, float* c, int64_t c_stride, bool add) {
  const auto tile_at = [&](int64_t row) { return Left{a.data + row * a.row_step, a.row_step, a.column_step}; };
  constexpr int64_t width = vectors * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  for (int64_t column = 0; column < panel; column += width) {
    int64_t r = 0;
    for (; r + most_rows <= rows; r += most_rows) multiply_tile<Vector, most_rows, vectors>(tile_at(r), b + column, depth, c + r * c_stride + column, c_stride, add);
    for (; r < rows; ++r) multiply_tile<Vector, 1, vectors>(tile_at(r), b + column, depth, c + r * c_stride + column, c_stride, add);
  }
}

}  // namespace

GRAFT_WIDE void multiply(Left a, const Panels& b, int64_t rows, int64_t columns, int64_t depth, float* c, int64_t c_stride, bool add) {
  static const bool wide = has_wide_registers();
  for (int64_t first = 0; first < columns; first += panel)
    for (int64_t p = 0; p < depth; p += depth_block) {
      const Left left{a.data + p * a.column_step, a.row_step, a.column_step};
      const float* right = b.at(first) + p * panel;
      const int64_t here = std::min(depth_block, depth - p);
      if (wide) multiply_rows<Vector16, 8, 2>(left, right, rows, here, c + first, c_stride, add || p > 0);
      else multiply_rows<Vector8, 6, 2>(left, right, rows, here, c + first, c_stride, add || p > 0);
    }
}

#define GRAFT_DEFINE(T)                                                                                                    \
  GRAFT_WIDE void pack(const T* x, int64_t stride, int64_t n, int64_t c, Panels& to) { pack_rows(x, stride, n, c, to); }   \
  GRAFT_WIDE void pack_turned(const T* x, int64_t stride, int64_t n, int64_t c, Panels& to) { pack_columns(x, stride, n, c, to); }
GRAFT_EACH_REAL(GRAFT_DEFINE)
#undef GRAFT_DEFINE

}  // namespace graft::kernels
