// q's and k's own norms (Qwen3) and RoPE in one pass: the threads of a head stand together in a warp and share its sums.
#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256;

/// A thread's share of one head: pairs (i, i + half) from `column` on.
struct Share {
  int64_t token, at;   // at: the head's first column
  int head, column, lanes;
  bool turns, is_q;
};

template <int N>
__device__ Share share_of(int64_t i, const Heads& heads) {
  const int pieces = static_cast<int>(heads.half) / N, all = static_cast<int>(heads.q + heads.k + heads.v);
  const int head = static_cast<int>(i / pieces % all);
  return {i / pieces / all, int64_t{head} * 2 * heads.half, head, static_cast<int>(i % pieces) * N, pieces, head < heads.q + heads.k, head < heads.q};
}

template <class T, int N>
__device__ void load_pair(const T* from, int64_t half, float (&a)[N], float (&b)[N]) {
  load_all(from, a);
  load_all(from + half, b);
}
template <class T, int N>
__device__ void put_pair(T* to, int64_t half, const float (&a)[N], const float (&b)[N]) {
  put_all(to, a);
  put_all(to + half, b);
}
template <int N>
__device__ void turn(float (&a)[N], float (&b)[N], const float* cosine, const float* sine, float sign) {
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const float x = a[j], y = b[j], s = sign * sine[j];
    a[j] = x * cosine[j] - y * s;
    b[j] = y * cosine[j] + x * s;
  }
}
template <int N>
__device__ float dot(const float (&a)[N], const float (&b)[N], const float (&c)[N], const float (&d)[N]) {
  float sum = 0;
#pragma unroll
  for (int j = 0; j < N; ++j) sum += a[j] * c[j] + b[j] * d[j];
  return sum;
}

template <class T, int N>
__global__ void head_norm_kernel(RowsOf<const T> qkv, RowsOf<T> out, Heads heads, const float* q_gain, const float* k_gain, float eps, const float* cosine, const float* sine,
                                 int64_t count) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x;
  const bool mine = i < count;
  const Share s = share_of<N>(mine ? i : 0, heads);
  float a[N], b[N], ga[N], gb[N];
  load_pair(qkv.row(s.token) + s.at + s.column, heads.half, a, b);
  const float scale = rsqrtf(sum_of_lanes(dot(a, b, a, b), s.lanes) / static_cast<float>(2 * heads.half) + eps);
  if (!mine) return;
  load_pair((s.is_q ? q_gain : k_gain) + s.column, heads.half, ga, gb);
#pragma unroll
  for (int j = 0; j < N; ++j) a[j] *= scale * ga[j], b[j] *= scale * gb[j];
  if (cosine) turn(a, b, cosine + s.token * heads.half + s.column, sine + s.token * heads.half + s.column, 1.0f);
  put_pair(out.row(s.token) + s.at + s.column, heads.half, a, b);
}

template <class T, int N>
__global__ void head_norm_backward_kernel(RowsOf<const T> dq, RowsOf<const T> dk, RowsOf<const T> dv, RowsOf<const T> qkv, RowsOf<T> out, Heads heads, const float* q_gain,
                                          const float* k_gain, float eps, const float* cosine, const float* sine, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x;
  const bool mine = i < count;
  const Share s = share_of<N>(mine ? i : 0, heads);
  const int64_t width = 2 * heads.half;
  const T* from = s.is_q ? dq.row(s.token) + s.at : s.turns ? dk.row(s.token) + s.at - heads.q * width : dv.row(s.token) + s.at - (heads.q + heads.k) * width;
  float da[N], db[N], a[N], b[N], ga[N], gb[N];
  load_pair(from + s.column, heads.half, da, db);
  load_pair(qkv.row(s.token) + s.at + s.column, heads.half, a, b);
  load_pair((s.is_q ? q_gain : k_gain) + s.column, heads.half, ga, gb);
  if (s.turns) {
    if (cosine) turn(da, db, cosine + s.token * heads.half + s.column, sine + s.token * heads.half + s.column, -1.0f);
#pragma unroll
    for (int j = 0; j < N; ++j) da[j] *= ga[j], db[j] *= gb[j];
  }
  const float square = sum_of_lanes(dot(a, b, a, b), s.lanes), along = sum_of_lanes(dot(da, db, a, b), s.lanes);
  if (!mine) return;
  if (s.turns) {
    const float scale = rsqrtf(square / static_cast<float>(width) + eps), pull = along / static_cast<float>(width) * scale * scale;
#pragma unroll
    for (int j = 0; j < N; ++j) da[j] = scale * (da[j] - a[j] * pull), db[j] = scale * (db[j] - b[j] * pull);
  }
  put_pair(out.row(s.token) + s.at + s.column, heads.half, da, db);
}

template <class F>
void launch(const Heads& heads, int64_t tokens, int width, F&& f) {
  const int64_t count = tokens * (heads.q + heads.k + heads.v) * (heads.half / width);
  if (count > 0) f(static_cast<unsigned>((count + threads - 1) / threads), count);
}

}  // namespace

void head_norm_cuda(Matrix qkv, Matrix out, Heads heads, const float* q_gain, const float* k_gain, float eps, const float* cosine, const float* sine, Real type, int64_t tokens,
                    void* stream) {
  heads.v = 0;
  with_vectors(type, heads.half, {qkv, out}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    launch(heads, tokens, width, [&](unsigned blocks, int64_t count) {
      head_norm_kernel<T, width.value><<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(qkv), rows_of<T>(out), heads, q_gain,
                                                                                           k_gain, eps, cosine, sine, count);
    });
  });
  launched("head norm kernel");
}

void head_norm_backward_cuda(Matrix dq, Matrix dk, Matrix dv, Matrix qkv, Matrix out, Heads heads, const float* q_gain, const float* k_gain, float eps, const float* cosine,
                             const float* sine, Real type, int64_t tokens, void* stream) {
  with_vectors(type, heads.half, {dq, dk, dv, qkv, out}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    launch(heads, tokens, width, [&](unsigned blocks, int64_t count) {
      head_norm_backward_kernel<T, width.value><<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(
          rows_of<const T>(dq), rows_of<const T>(dk), rows_of<const T>(dv), rows_of<const T>(qkv), rows_of<T>(out), heads, q_gain,
          k_gain, eps, cosine, sine, count);
    });
  });
  launched("head norm backward kernel");
}

}  // namespace graft::kernels
