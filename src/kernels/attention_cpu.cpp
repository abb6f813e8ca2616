// Attention on the CPU. One thread: callers cut the heads.
#include "graft/kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "panels.h"
#include "rows.h"

namespace graft::kernels {
namespace {

constexpr int64_t query_block = 64;

template <class T>
GRAFT_INLINE void widen_rows(const T* from, int64_t stride, int64_t rows, int64_t columns, float scale, float* to) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < columns; ++c) to[i * columns + c] = to_float(from[i * stride + c]) * scale;
}

template <class T>
GRAFT_INLINE void narrow_rows(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float scale, T* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < columns; ++c) store(to + i * stride + c, from[i * from_stride + c] * scale);
}

template <class T>
GRAFT_INLINE float dot_row(const float* x, const T* y, int64_t columns) {
  float sums[lanes] = {}, sum = 0;
  int64_t c = 0;
  for (; c + lanes <= columns; c += lanes)
    for (int l = 0; l < lanes; ++l) sums[l] += x[c + l] * to_float(y[c + l]);
  for (; c < columns; ++c) sums[0] += x[c] * to_float(y[c]);
  for (const float s : sums) sum += s;
  return sum;
}

#define GRAFT_DEFINE(T)                                                                                                                         \
  GRAFT_WIDE void widen(const T* x, int64_t s, int64_t n, int64_t c, float a, float* to) { widen_rows(x, s, n, c, a, to); }                    \
  GRAFT_WIDE void narrow(const float* x, int64_t xs, int64_t n, int64_t c, float a, T* to, int64_t s) { narrow_rows(x, xs, n, c, a, to, s); }  \
  GRAFT_WIDE float dot(const float* x, const T* y, int64_t c) { return dot_row(x, y, c); }
GRAFT_EACH_REAL(GRAFT_DEFINE)
#undef GRAFT_DEFINE

/// Keys that the row's query does not see.
GRAFT_WIDE void hide(float* row, const bool* allowed, int64_t count) {
  for (int64_t c = 0; c < count; ++c) row[c] = allowed[c] ? row[c] : -INFINITY;
}

GRAFT_WIDE float largest(const float* row, int64_t count) { return largest_of(row, count); }

/// exp(score - most), zeros where a key is hidden and behind the first `count`; returns the row's sum.
GRAFT_WIDE float exponentials(float* row, int64_t count, int64_t width, float most) {
  float sums[lanes] = {};
  int64_t c = 0;
  for (; c + lanes <= count; c += lanes)
    for (int l = 0; l < lanes; ++l) {
      const float x = row[c + l], e = x == -INFINITY ? 0.0f : exp_vectorisable(x - most);
      row[c + l] = e, sums[l] += e;
    }
  for (; c < count; ++c) {
    row[c] = row[c] == -INFINITY ? 0.0f : exp_vectorisable(row[c] - most);
    sums[0] += row[c];
  }
  for (; c < width; ++c) row[c] = 0;
  float sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}

/// d, the gradient of a row of weights, becomes that of its scores.
GRAFT_WIDE void through_softmax(const float* weights, float* d, int64_t width, float delta) {
  for (int64_t c = 0; c < width; ++c) d[c] = weights[c] * (d[c] - delta);
}

template <class T>
const T* rows_of(Matrix x, int64_t first) { return static_cast<const T*>(x.data) + first * x.stride; }
template <class T>
T* rows_to(Matrix x, int64_t first) { return static_cast<T*>(x.data) + first * x.stride; }

/// A head's scores, a block of queries at a time.
template <class T>
class Scores {
 public:
  explicit Scores(const AttentionHead& head) : h(head), keys_(head.dim, head.keys), queries(room(query_block, head.dim)), values(room(query_block, keys_.columns())) {
    pack_turned(rows_of<T>(h.k, 0), h.k.stride, h.keys, h.dim, keys_);
  }
  int64_t stride() const { return keys_.columns(); }
  float* row(int64_t i) { return values.get() + i * stride(); }
  /// Of the queries from `first` on; returns how many columns, whole panels, one of them sees.
  int64_t make(int64_t first, int64_t count) {
    widen(rows_of<T>(h.q, first), h.q.stride, count, h.dim, h.scale, queries.get());
    const int64_t width = in_panels(seen(first + count - 1));
    multiply({queries.get(), h.dim, 1}, keys_, count, width, h.dim, values.get(), stride(), false);
    for (int64_t i = 0; h.allowed && i < count; ++i) hide(row(i), h.allowed + (first + i) * h.allowed_stride, seen(first + i));
    return width;
  }
  float most(int64_t first, int64_t i) { return largest(row(i), seen(first + i)); }
  /// They become weights, up to a factor a row, the sum of which is returned.
  float exponentiate(int64_t first, int64_t i, int64_t width, float most) { return exponentials(row(i), seen(first + i), width, most); }

 private:
  int64_t seen(int64_t query) const { return h.causal ? std::clamp<int64_t>(h.keys - h.queries + query + 1, 0, h.keys) : h.keys; }

  const AttentionHead& h;
  Panels keys_;

 public:
  Room queries, values;   // scaled: [query_block, dim]; [query_block, stride()]
};

template <class T>
void forward(const AttentionHead& h) {
  Scores<T> scores(h);
  Panels values(h.keys, h.dim);
  pack(rows_of<T>(h.v, 0), h.v.stride, h.keys, h.dim, values);
  const Room sums = zeros(query_block, values.columns());
  for (int64_t first = 0; first < h.queries; first += query_block) {
    const int64_t count = std::min(query_block, h.queries - first), width = scores.make(first, count);
    float total[query_block];
    for (int64_t i = 0; i < count; ++i) {
      const float most = scores.most(first, i);
      total[i] = scores.exponentiate(first, i, width, most);
      h.lse[first + i] = total[i] > 0 ? most + std::log(total[i]) : 0.0f;
    }
    multiply({scores.values.get(), scores.stride(), 1}, values, count, values.columns(), std::min(h.keys, width), sums.get(), values.columns(), false);
    for (int64_t i = 0; i < count; ++i)
      narrow(sums.get() + i * values.columns(), 0, 1, h.dim, total[i] > 0 ? 1 / total[i] : 0.0f, rows_to<T>(h.out, first + i), 0);
  }
}

template <class T>
void backward(const AttentionHead& h, const AttentionGradients& g) {
  Scores<T> scores(h);
  Panels values_turned(h.dim, h.keys), keys(h.keys, h.dim), queries(query_block, h.dim), grads(query_block, h.dim);
  pack_turned(rows_of<T>(h.v, 0), h.v.stride, h.keys, h.dim, values_turned);
  pack(rows_of<T>(h.k, 0), h.k.stride, h.keys, h.dim, keys);
  const int64_t columns = keys.columns(), stride = scores.stride();
  const Room d_keys = zeros(h.keys, columns), d_values = zeros(h.keys, columns);
  const Room d_queries = zeros(query_block, columns), d_scores = room(query_block, stride), d_out = room(query_block, h.dim);
  for (int64_t first = 0; first < h.queries; first += query_block) {
    const int64_t count = std::min(query_block, h.queries - first), width = scores.make(first, count), depth = std::min(h.keys, width);
    widen(rows_of<T>(g.out, first), g.out.stride, count, h.dim, 1.0f, d_out.get());
    multiply({d_out.get(), h.dim, 1}, values_turned, count, width, h.dim, d_scores.get(), stride, false);
    for (int64_t i = 0; i < count; ++i) {
      scores.exponentiate(first, i, width, h.lse[first + i]);
      through_softmax(scores.row(i), d_scores.get() + i * stride, width, dot(d_out.get() + i * h.dim, rows_of<T>(h.out, first + i), h.dim));
    }
    pack(d_out.get(), h.dim, count, h.dim, grads);
    pack(scores.queries.get(), h.dim, count, h.dim, queries);
    multiply({scores.values.get(), 1, stride}, grads, depth, columns, count, d_values.get(), columns, true);
    multiply({d_scores.get(), 1, stride}, queries, depth, columns, count, d_keys.get(), columns, true);
    multiply({d_scores.get(), stride, 1}, keys, count, columns, depth, d_queries.get(), columns, false);
    narrow(d_queries.get(), columns, count, h.dim, h.scale, rows_to<T>(g.q, first), g.q.stride);
  }
  narrow(d_keys.get(), columns, h.keys, h.dim, 1.0f, rows_to<T>(g.k, 0), g.k.stride);
  narrow(d_values.get(), columns, h.keys, h.dim, 1.0f, rows_to<T>(g.v, 0), g.v.stride);
}

}  // namespace

void attention_cpu(const AttentionHead& head, Real type) {
  with_real(type, [&](auto* t) { forward<std::remove_pointer_t<decltype(t)>>(head); });
}

void attention_backward_cpu(const AttentionHead& head, const AttentionGradients& gradients, Real type) {
  with_real(type, [&](auto* t) { backward<std::remove_pointer_t<decltype(t)>>(head, gradients); });
}

}  // namespace graft::kernels
