// RMSNorm of a decoder block: some warps a row, which stays in registers between its two passes.
#include "fp8.cuh"

namespace graft::kernels {
namespace {

constexpr int block_warps = 4;

/// The sum over a row's warps, in one order.
__device__ float sum_of_row(float x, int warps) {
  __shared__ float sums[block_warps];
  x = sum_of_lanes(x, 32);
  if (warps == 1) return x;
  const int warp = threadIdx.x / 32;
  if (threadIdx.x % 32 == 0) sums[warp] = x;
  __syncthreads();
  float total = 0;
  for (int i = warp / warps * warps; i < (warp / warps + 1) * warps; ++i) total += sums[i];
  return total;
}

/// The largest over the row's warps, INFINITY where a number is not finite.
__device__ float largest_of_row(float x, int warps) {
  __shared__ float largest[block_warps];
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  if (warps == 1) return x;
  const int warp = threadIdx.x / 32;
  if (threadIdx.x % 32 == 0) largest[warp] = x;
  __syncthreads();
  for (int i = warp / warps * warps; i < (warp / warps + 1) * warps; ++i) x = fmaxf(x, largest[i]);
  return x;
}

/// Accesses that a lane has in flight and keeps, of longer rows the rest is read again; and where it keeps their results too, until their codes can be made.
constexpr int few = 2, many = 4;

/// Warps that a row gets: as many as hold it, and more than one only for that.
int warps_for(int64_t columns, int width) {
  int warps = 1;
  while (warps < block_warps && columns / width > int64_t{32} * few * warps) warps *= 2;
  return warps;
}

/// Where a lane's i-th access begins.
template <int N>
__device__ int64_t column_of(int i, int lane, int lanes) {
  return (int64_t{i} * lanes + lane) * N;
}

template <class T, int N>
__device__ Vector<T, N> rounded(const float (&x)[N]) {
  Vector<T, N> v;
#pragma unroll
  for (int i = 0; i < N; ++i) put(&v.at[i], x[i]);
  return v;
}

/// A row's results, kept until the largest is known: then their codes.
template <int held, class T, int N>
struct Coded {
  Vector<T, N> made[held];
  float most = 0;
  __device__ void keep(int i, const Vector<T, N>& v) { made[i] = v, most = larger(most, v); }
  __device__ void write(Fp8Codes codes, const T* results, int64_t row, int64_t columns, bool mine, int lane, int lanes, int warps) {
    const float inverse = scale_row(largest_of_row(most, warps), codes.scales + row, mine && lane == 0);
    if (!mine) return;
    uint8_t* const to = codes.values + row * columns;
#pragma unroll
    for (int i = 0; i < held; ++i)
      if (const int64_t c = column_of<N>(i, lane, lanes); c < columns) put_codes(to + c, made[i], inverse);
    for (int64_t c = column_of<N>(held, lane, lanes); c < columns; c += lanes * N) put_codes(to + c, *reinterpret_cast<const Vector<T, N>*>(results + c), inverse);
  }
};

template <int held, bool coded, class T, class G, int N>
__global__ void norm_kernel(RowsOf<const T> x, RowsOf<const T> added, const G* gain, RowsOf<T> sum, RowsOf<T> y, float* rstd, Fp8Codes codes, int64_t rows, int64_t columns,
                            float eps, int warps) {
  const int lanes = 32 * warps, lane = threadIdx.x % lanes;
  const int64_t row = blockIdx.x * int64_t{block_warps / warps} + threadIdx.x / lanes;
  const bool mine = row < rows;
  float kept[held][N], square = 0;
  const auto take = [&](int64_t c, float (&v)[N]) {
    load_all(x.row(row) + c, v);
    if (added) {
      float more[N];
      load_all(added.row(row) + c, more);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        T rounded;
        put(&rounded, v[j] + more[j]);
        v[j] = load(rounded);
      }
      put_all(sum.row(row) + c, v);
    }
#pragma unroll
    for (int j = 0; j < N; ++j) square += v[j] * v[j];
  };
  const auto scaled = [&](int64_t c, float (&v)[N], float scale) {
    float g[N];
    load_all(gain + c, g);
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] *= scale * g[j];
    const auto result = rounded<T>(v);
    *reinterpret_cast<Vector<T, N>*>(y.row(row) + c) = result;
    return result;
  };
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int64_t c = column_of<N>(i, lane, lanes); mine && c < columns) take(c, kept[i]);
  for (int64_t c = column_of<N>(held, lane, lanes); mine && c < columns; c += lanes * N) {
    float v[N];
    take(c, v);
  }
  const float scale = rsqrtf(sum_of_row(square, warps) / static_cast<float>(columns) + eps);
  if (mine && lane == 0) rstd[row] = scale;
  Coded<coded ? held : 1, T, N> results;
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int64_t c = column_of<N>(i, lane, lanes); mine && c < columns) {
      const auto result = scaled(c, kept[i], scale);
      if constexpr (coded) results.keep(i, result);
    }
  for (int64_t c = column_of<N>(held, lane, lanes); mine && c < columns; c += lanes * N) {
    float v[N];
    load_all((added ? sum.row(row) : x.row(row)) + c, v);
    const auto result = scaled(c, v, scale);
    if constexpr (coded) results.most = larger(results.most, result);
  }
  if constexpr (coded) results.write(codes, y.row(row), row, columns, mine, lane, lanes, warps);
}

/// What the compiler made of these it makes again, instead of keeping twice as many registers.
template <class V>
__device__ void forget_numbers(V& vector) {
  if constexpr (sizeof(V) % sizeof(unsigned) == 0)
#pragma unroll
    for (size_t i = 0; i < sizeof(V) / sizeof(unsigned); ++i) asm volatile("" : "+r"(reinterpret_cast<unsigned*>(&vector)[i]));
}

template <int held, bool coded, class T, class G, int N>
__global__ void __launch_bounds__(32 * block_warps, coded ? 4 : 8) norm_backward_kernel(RowsOf<const T> grad, RowsOf<const T> x, const G* gain, const float* rstd,
                                                                                        RowsOf<const T> passed, RowsOf<T> dx, RowsOf<T> y, Fp8Codes codes, int64_t rows,
                                                                                        int64_t columns, int warps) {
  const int lanes = 32 * warps, lane = threadIdx.x % lanes;
  const int64_t row = blockIdx.x * int64_t{block_warps / warps} + threadIdx.x / lanes;
  const bool mine = row < rows;
  struct Access {
    Vector<T, N> x, grad, passed;
  };
  Access kept[held];   // as they came: fewer registers, so more rows in flight
  float dot = 0;
  const auto numbers = [](const Vector<T, N>& v, float (&out)[N]) { load_all(v.at, out); };
  const auto take = [&](int64_t c, Access& a) {
    a.x = *reinterpret_cast<const Vector<T, N>*>(x.row(row) + c), a.grad = *reinterpret_cast<const Vector<T, N>*>(grad.row(row) + c);
    if (passed) a.passed = *reinterpret_cast<const Vector<T, N>*>(passed.row(row) + c);
    float v[N], d[N], g[N];
    numbers(a.x, v), numbers(a.grad, d), load_all(gain + c, g);
#pragma unroll
    for (int j = 0; j < N; ++j) dot += d[j] * g[j] * v[j];
  };
  const auto give = [&](int64_t c, const Access& a, float scale, float pull) {
    float v[N], d[N], g[N], more[N] = {};
    numbers(a.x, v), numbers(a.grad, d), load_all(gain + c, g);
    if (passed) numbers(a.passed, more);
#pragma unroll
    for (int j = 0; j < N; ++j) more[j] += scale * (d[j] * g[j] - v[j] * pull);
    const auto result = rounded<T>(more);
    *reinterpret_cast<Vector<T, N>*>(dx.row(row) + c) = result;
    if (y) {
#pragma unroll
      for (int j = 0; j < N; ++j) v[j] *= scale * g[j];
      put_all(y.row(row) + c, v);
    }
    return result;
  };
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int64_t c = column_of<N>(i, lane, lanes); mine && c < columns) take(c, kept[i]);
  for (int64_t c = column_of<N>(held, lane, lanes); mine && c < columns; c += lanes * N) {
    Access a;
    take(c, a);
  }
  dot = sum_of_row(dot, warps);
#pragma unroll
  for (int i = 0; i < held; ++i) forget_numbers(kept[i].x), forget_numbers(kept[i].grad);
  const float scale = mine ? rstd[row] : 0, pull = dot / static_cast<float>(columns) * scale * scale;
  Coded<coded ? held : 1, T, N> results;
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int64_t c = column_of<N>(i, lane, lanes); mine && c < columns) {
      const auto result = give(c, kept[i], scale, pull);
      if constexpr (coded) results.keep(i, result);
    }
  for (int64_t c = column_of<N>(held, lane, lanes); mine && c < columns; c += lanes * N) {
    Access a;
    take(c, a);
    const auto result = give(c, a, scale, pull);
    if constexpr (coded) results.most = larger(results.most, result);
  }
  if constexpr (coded) results.write(codes, dx.row(row), row, columns, mine, lane, lanes, warps);
}

/// f with the element type, the gain's and the width of an access.
template <class F>
void with_gain(Real type, Gain gain, int64_t columns, std::initializer_list<Matrix> all, F&& f) {
  with_vectors(type, columns, all, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    if (gain.type == type) f(t, static_cast<const T*>(gain.data), width);
    else f(t, static_cast<const float*>(gain.data), width);
  });
}

template <class F>
void launch_rows(int64_t rows, int64_t columns, int width, F&& f) {
  const int warps = warps_for(columns, width), in_block = block_warps / warps;
  f(static_cast<unsigned>((rows + in_block - 1) / in_block), 32 * block_warps, warps);
}

}  // namespace

void rms_norm_cuda(Matrix x, Matrix added, Gain gain, Matrix sum, Matrix y, float* rstd, Fp8Codes codes, Real type, int64_t rows, int64_t columns, float eps, void* stream) {
  if (rows == 0) return;
  const Matrix gains{const_cast<void*>(gain.data), 0};
  with_gain(type, gain, columns, {x, added, sum, y, gains, {codes.values, columns}}, [&](auto* t, auto* g, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    using G = std::remove_cv_t<std::remove_pointer_t<decltype(g)>>;
    launch_rows(rows, columns, width, [&](unsigned blocks, int threads, int warps) {
      const auto kernel = codes.values ? norm_kernel<many, true, T, G, width.value> : norm_kernel<few, false, T, G, width.value>;
      kernel<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(x), rows_of<const T>(added), g, rows_of<T>(sum), rows_of<T>(y), rstd, codes, rows, columns,
                                                                       eps, warps);
    });
  });
  launched("norm kernel");
}

void rms_norm_backward_cuda(Matrix grad, Matrix x, Gain gain, const float* rstd, Matrix passed, Matrix dx, Matrix y, Fp8Codes codes, Real type, int64_t rows,
                            int64_t columns, void* stream) {
  if (rows == 0) return;
  const Matrix gains{const_cast<void*>(gain.data), 0};
  with_gain(type, gain, columns, {grad, x, passed, dx, y, gains, {codes.values, columns}}, [&](auto* t, auto* g, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    using G = std::remove_cv_t<std::remove_pointer_t<decltype(g)>>;
    launch_rows(rows, columns, width, [&](unsigned blocks, int threads, int warps) {
      const auto kernel = codes.values ? norm_backward_kernel<many, true, T, G, width.value> : norm_backward_kernel<few, false, T, G, width.value>;
      kernel<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(grad), rows_of<const T>(x), g, rstd, rows_of<const T>(passed), rows_of<T>(dx), rows_of<T>(y),
                                                                       codes, rows, columns, warps);
    });
  });
  launched("norm backward kernel");
}

}  // namespace graft::kernels
