// The plain texts. One thread each: callers cut the rows.
#include <cmath>
#include <type_traits>
#include <vector>

#include "philox.h"
#include "rows.h"

namespace graft::kernels {
namespace {

GRAFT_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp_vectorisable(-x)); }

template <class T>
GRAFT_INLINE void rms_norm_rows(const T* x, const T* weight, T* y, float* rstd, int64_t rows, int64_t columns, float eps) {
  for (int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
    float sums[lanes] = {};
    int64_t c = 0;
    for (; c + lanes <= columns; c += lanes)
      for (int l = 0; l < lanes; ++l) sums[l] += to_float(x[c + l]) * to_float(x[c + l]);
    for (; c < columns; ++c) sums[0] += to_float(x[c]) * to_float(x[c]);
    float sum = 0;
    for (const float s : sums) sum += s;
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(columns) + eps);
    rstd[i] = scale;
    for (c = 0; c < columns; ++c) store(y + c, to_float(x[c]) * scale * to_float(weight[c]));
  }
}

template <class T>
GRAFT_INLINE void rms_norm_backward_rows(const T* grad, const T* x, const T* weight, const float* rstd, T* dx, int64_t rows,
                                         int64_t columns) {
  for (int64_t i = 0; i < rows; ++i, x += columns, grad += columns, dx += columns) {
    float sums[lanes] = {};
    int64_t c = 0;
    for (; c + lanes <= columns; c += lanes)
      for (int l = 0; l < lanes; ++l) sums[l] += to_float(grad[c + l]) * to_float(weight[c + l]) * to_float(x[c + l]);
    for (; c < columns; ++c) sums[0] += to_float(grad[c]) * to_float(weight[c]) * to_float(x[c]);
    float dot = 0;
    for (const float s : sums) dot += s;
    const float scale = rstd[i], pull = dot / static_cast<float>(columns) * scale * scale;
    for (c = 0; c < columns; ++c) store(dx + c, scale * (to_float(grad[c]) * to_float(weight[c]) - to_float(x[c]) * pull));
  }
}

template <class T>
GRAFT_INLINE void rope_rows(const T* x, T* y, const float* cosine, const float* sine, int64_t tokens, int64_t heads, int64_t half,
                            float sign) {
  for (int64_t t = 0; t < tokens; ++t, cosine += half, sine += half) {
    for (int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half) {
      for (int64_t i = 0; i < half; ++i) {
        const float a = to_float(x[i]), b = to_float(x[i + half]), s = sign * sine[i];
        store(y + i, a * cosine[i] - b * s);
        store(y + i + half, b * cosine[i] + a * s);
      }
    }
  }
}

template <class T>
GRAFT_INLINE void swiglu_elements(const T* gate, const T* up, T* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = to_float(gate[i]);
    store(y + i, g * sigmoid(g) * to_float(up[i]));
  }
}

template <class T>
GRAFT_INLINE void swiglu_backward_elements(const T* grad, const T* gate, const T* up, T* dgate, T* dup, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = to_float(gate[i]), s = sigmoid(g), d = to_float(grad[i]);
    store(dgate + i, d * to_float(up[i]) * s * (1.0f + g * (1.0f - s)));
    store(dup + i, d * g * s);
  }
}

template <class T>
void dropout_rows(const T* x, T* y, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions, DropoutKey key,
                  float p) {
  const float scale = 1.0f / (1.0f - p);
  const uint32_t threshold = dropout_threshold(p), step = step_of(key);
  for (int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
    for (int64_t c = 0; c < columns; c += 4) {
      const Philox4 random = dropout_philox(key.seed, key.site, step, segments[i], positions[i], c / 4);
      for (int64_t l = 0; l < 4 && c + l < columns; ++l)
        store(y + c + l, random.word[l] >= threshold ? to_float(x[c + l]) * scale : 0.0f);
    }
  }
}

float unit_interval(uint32_t random) { return static_cast<float>(random >> 8) * (1.0f / 16777216.0f); }  // [0, 1)

// One function a type and kernel, because target_clones does not take templates.
#define GRAFT_DEFINE(T)                                                                                                               \
  GRAFT_WIDE void norm(const T* x, const T* w, T* y, float* r, int64_t n, int64_t c, float e) { rms_norm_rows(x, w, y, r, n, c, e); } \
  GRAFT_WIDE void norm_backward(const T* g, const T* x, const T* w, const float* r, T* d, int64_t n, int64_t c) {                     \
    rms_norm_backward_rows(g, x, w, r, d, n, c);                                                                                      \
  }                                                                                                                                   \
  GRAFT_WIDE void rotate(const T* x, T* y, const float* c, const float* s, int64_t t, int64_t h, int64_t half, float sign) {          \
    rope_rows(x, y, c, s, t, h, half, sign);                                                                                          \
  }                                                                                                                                   \
  GRAFT_WIDE void glu(const T* g, const T* u, T* y, int64_t n) { swiglu_elements(g, u, y, n); }                                       \
  GRAFT_WIDE void glu_backward(const T* d, const T* g, const T* u, T* dg, T* du, int64_t n) {                                         \
    swiglu_backward_elements(d, g, u, dg, du, n);                                                                                     \
  }
GRAFT_EACH_REAL(GRAFT_DEFINE)
#undef GRAFT_DEFINE

template <class T>
const T* as(const void* p, T*) {
  return static_cast<const T*>(p);
}
template <class T>
T* as(void* p, T*) {
  return static_cast<T*>(p);
}

}  // namespace

void rms_norm_cpu(const void* x, const void* weight, void* y, float* rstd, Real type, int64_t rows, int64_t columns, float eps) {
  with_real(type, [&](auto* t) { norm(as(x, t), as(weight, t), as(y, t), rstd, rows, columns, eps); });
}

void rms_norm_backward_cpu(const void* grad, const void* x, const void* weight, const float* rstd, void* dx, Real type, int64_t rows,
                           int64_t columns) {
  with_real(type, [&](auto* t) { norm_backward(as(grad, t), as(x, t), as(weight, t), rstd, as(dx, t), rows, columns); });
}

void rope_cpu(const void* x, void* y, Real type, const float* cosine, const float* sine, int64_t tokens, int64_t heads, int64_t half,
              bool inverse) {
  with_real(type, [&](auto* t) { rotate(as(x, t), as(y, t), cosine, sine, tokens, heads, half, inverse ? -1.0f : 1.0f); });
}

void swiglu_cpu(const void* gate, const void* up, void* y, Real type, int64_t count) {
  with_real(type, [&](auto* t) { glu(as(gate, t), as(up, t), as(y, t), count); });
}

void swiglu_backward_cpu(const void* grad, const void* gate, const void* up, void* dgate, void* dup, Real type, int64_t count) {
  with_real(type, [&](auto* t) { glu_backward(as(grad, t), as(gate, t), as(up, t), as(dgate, t), as(dup, t), count); });
}

void dropout_cpu(const void* x, void* y, Real type, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions,
                 DropoutKey key, float p) {
  with_real(type, [&](auto* t) { dropout_rows(as(x, t), as(y, t), rows, columns, segments, positions, key, p); });
}

void uniform_cpu(float* out, int64_t count, float bound, uint64_t seed, uint32_t stream) {
  for (int64_t i = 0; i < count; i += 4) {
    const Philox4 random = philox(seed, static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), stream, 0x756e6966);
    for (int64_t l = 0; l < 4 && i + l < count; ++l) out[i + l] = (2 * unit_interval(random.word[l]) - 1) * bound;
  }
}

void normal_cpu(float* out, int64_t count, float sigma, uint64_t seed, uint32_t stream) {
  for (int64_t i = 0; i < count; i += 2) {
    const Philox4 random = philox(seed, static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), stream, 0x6e6f726d);
    const float radius = sigma * std::sqrt(-2.0f * std::log(1.0f - unit_interval(random.word[0])));
    const float angle = 6.28318530718f * unit_interval(random.word[1]);
    out[i] = radius * std::cos(angle);
    if (i + 1 < count) out[i + 1] = radius * std::sin(angle);
  }
}

}  // namespace graft::kernels
