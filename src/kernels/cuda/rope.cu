// RoPE over q, k and v side by side: a thread turns some pairs (i, i + half) of one head; in place where `out` is its source.
#include "vectors.cuh"

namespace graft::kernels {
namespace {

template <class T, int N>
__global__ void rope_kernel(RowsOf<const T> q, RowsOf<const T> k, RowsOf<const T> v, RowsOf<T> out, const T* bias, Heads heads, const float* cosine, const float* sine,
                            unsigned count, float sign) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const unsigned pieces = static_cast<unsigned>(heads.half) / N, all = static_cast<unsigned>(heads.q + heads.k + heads.v), piece = i % pieces, head = i / pieces % all;
  const int64_t token = i / pieces / all, width = 2 * heads.half, column = piece * N;
  const bool turns = head < heads.q + heads.k;
  const T* from = head < heads.q ? q.row(token) + head * width : turns ? k.row(token) + (head - heads.q) * width : v.row(token) + (head - heads.q - heads.k) * width;
  float a[N], b[N];
  load_all(from + column, a);
  load_all(from + heads.half + column, b);
  if (bias) {
    float more[N];
    load_all(bias + head * width + column, more);
#pragma unroll
    for (int j = 0; j < N; ++j) a[j] += more[j];
    load_all(bias + head * width + heads.half + column, more);
#pragma unroll
    for (int j = 0; j < N; ++j) b[j] += more[j];
  }
  if (turns && cosine) {
    const float *c = cosine + token * heads.half + column, *s = sine + token * heads.half + column;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float x = a[j], y = b[j], turn = sign * s[j];
      a[j] = x * c[j] - y * turn;
      b[j] = y * c[j] + x * turn;
    }
  }
  put_all(out.row(token) + head * width + column, a);
  put_all(out.row(token) + head * width + heads.half + column, b);
}

}  // namespace

void rope_cuda(Matrix q, Matrix k, Matrix v, Matrix out, const void* bias, Heads heads, const float* cosine, const float* sine, Real type, int64_t tokens, bool inverse,
               void* stream) {
  // Where v stays as it is, in its place, no thread looks at it.
  const char* place = static_cast<const char*>(out.data) + (heads.q + heads.k) * 2 * heads.half * (type == Real::fp32 ? 4 : 2);
  if (v.data == place && v.stride == out.stride && !bias) heads.v = 0;
  const Matrix biases{const_cast<void*>(bias), 0};
  with_vectors(type, heads.half, {q, k, v, out, biases}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    const int64_t count = tokens * (heads.q + heads.k + heads.v) * (heads.half / width);
    if (count == 0) return;
    constexpr int threads = 256;
    rope_kernel<T, width.value><<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows_of<const T>(q), rows_of<const T>(k), rows_of<const T>(v), rows_of<T>(out), static_cast<const T*>(bias), heads, cosine, sine, static_cast<unsigned>(count), inverse ? -1.0f : 1.0f);
  });
  launched("rope kernel");
}

}  // namespace graft::kernels
