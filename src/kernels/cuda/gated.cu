// SwiGLU and GeGLU (Shazeer 2020) over [gate | up]; backward rebuilds the product, which is never stored.
#include "fp8.cuh"
#include "gate.cuh"

namespace graft::kernels {
namespace {

template <Gate gate, class T, int N>
__global__ void gated_kernel(RowsOf<const T> gate_up, RowsOf<T> out, int64_t width, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / (width / N), column = i % (width / N) * N;
  float g[N], u[N];
  load_all(gate_up.row(row) + column, g);
  load_all(gate_up.row(row) + width + column, u);
#pragma unroll
  for (int j = 0; j < N; ++j) u[j] *= activated<gate>(g[j]).x;
  put_all(out.row(row) + column, u);
}

template <Gate gate, class T, int N>
__global__ void gated_backward_kernel(RowsOf<const T> grad, RowsOf<const T> gate_up, RowsOf<T> d_gate_up, RowsOf<T> product, int64_t width, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / (width / N), column = i % (width / N) * N;
  float d[N], g[N], u[N], p[N];
  load_all(grad.row(row) + column, d);
  load_all(gate_up.row(row) + column, g);
  load_all(gate_up.row(row) + width + column, u);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const float2 act = activated<gate>(g[j]);
    p[j] = act.x * u[j];
    g[j] = d[j] * u[j] * act.y;
    u[j] = d[j] * act.x;
  }
  put_all(d_gate_up.row(row) + column, g);
  put_all(d_gate_up.row(row) + width + column, u);
  if (product) put_all(product.row(row) + column, p);
}

// With codes: a block a row, whose rounded numbers stay in registers, `held` accesses a thread, until their largest is known.
constexpr int row_threads = 1024;

template <Gate gate, int held, class T, int N>
__global__ void __launch_bounds__(row_threads, 2) gated_rows_kernel(RowsOf<const T> gate_up, RowsOf<T> out, Fp8Codes codes, int width) {
  Vector<T, N> kept[held];
  float most = 0;
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int c = (i * row_threads + static_cast<int>(threadIdx.x)) * N; c < width) {
      float g[N], u[N];
      load_all(gate_up.row(blockIdx.x) + c, g);
      load_all(gate_up.row(blockIdx.x) + width + c, u);
#pragma unroll
      for (int j = 0; j < N; ++j) put(&kept[i].at[j], u[j] * activated<gate>(g[j]).x);
      *reinterpret_cast<Vector<T, N>*>(out.row(blockIdx.x) + c) = kept[i];
      most = larger(most, kept[i]);
    }
  const float inverse = scale_row(largest_of_block<row_threads>(most), codes.scales + blockIdx.x, threadIdx.x == 0);
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int c = (i * row_threads + static_cast<int>(threadIdx.x)) * N; c < width) put_codes(codes.values + int64_t{blockIdx.x} * width + c, kept[i], inverse);
}

template <Gate gate, int held, class T, int N>
__global__ void __launch_bounds__(row_threads) gated_backward_rows_kernel(RowsOf<const T> grad, RowsOf<const T> gate_up, RowsOf<T> d_gate_up, RowsOf<T> product, Fp8Codes codes,
                                                                          int width) {
  Vector<T, N> kept[held][2];
  float most = 0;
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int c = (i * row_threads + static_cast<int>(threadIdx.x)) * N; c < width) {
      float d[N], g[N], u[N], p[N];
      load_all(grad.row(blockIdx.x) + c, d);
      load_all(gate_up.row(blockIdx.x) + c, g);
      load_all(gate_up.row(blockIdx.x) + width + c, u);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float2 act = activated<gate>(g[j]);
        p[j] = act.x * u[j];
        put(&kept[i][0].at[j], d[j] * u[j] * act.y);
        put(&kept[i][1].at[j], d[j] * act.x);
      }
      T* const to = d_gate_up.row(blockIdx.x) + c;
      *reinterpret_cast<Vector<T, N>*>(to) = kept[i][0], *reinterpret_cast<Vector<T, N>*>(to + width) = kept[i][1];
      if (product) put_all(product.row(blockIdx.x) + c, p);
      most = larger(larger(most, kept[i][0]), kept[i][1]);
    }
  const float inverse = scale_row(largest_of_block<row_threads>(most), codes.scales + blockIdx.x, threadIdx.x == 0);
#pragma unroll
  for (int i = 0; i < held; ++i)
    if (const int c = (i * row_threads + static_cast<int>(threadIdx.x)) * N; c < width) {
      uint8_t* const to = codes.values + int64_t{blockIdx.x} * 2 * width + c;
      put_codes(to, kept[i][0], inverse), put_codes(to + width, kept[i][1], inverse);
    }
}

/// f with how many accesses of 8 a thread of a row's block keeps.
template <class F>
void with_held(int64_t width, F&& f) {
  if (width <= row_threads * 8) f(std::integral_constant<int, 1>{});
  else f(std::integral_constant<int, gated_codes_width / row_threads / 8>{});
}

constexpr int threads = 256;
unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + threads - 1) / threads); }

}  // namespace

void gated_cuda(Matrix gate_up, Matrix out, Fp8Codes codes, Gate gate, Real type, int64_t rows, int64_t width, void* stream) {
  if (rows == 0) return;
  with_gate(gate, [&](auto act) {
    with_vectors(type, width, {gate_up, out, {codes.values, width}}, [&](auto* t, auto n) {
      using T = std::remove_pointer_t<decltype(t)>;
      if constexpr (n.value == 8)
        if (codes.values)
          return with_held(width, [&](auto held) {
            gated_rows_kernel<act.value, held.value, T, n.value><<<static_cast<unsigned>(rows), row_threads, 0, static_cast<cudaStream_t>(stream)>>>(
                rows_of<const T>(gate_up), rows_of<T>(out), codes, static_cast<int>(width));
          });
      const int64_t count = rows * (width / n);
      gated_kernel<act.value, T, n.value><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(gate_up), rows_of<T>(out), width, count);
    });
  });
  launched("gated kernel");
}

void gated_backward_cuda(Matrix grad, Matrix gate_up, Matrix d_gate_up, Matrix product, Fp8Codes codes, Gate gate, Real type, int64_t rows, int64_t width, void* stream) {
  if (rows == 0) return;
  with_gate(gate, [&](auto act) {
    with_vectors(type, width, {grad, gate_up, d_gate_up, product, {codes.values, width}}, [&](auto* t, auto n) {
      using T = std::remove_pointer_t<decltype(t)>;
      if constexpr (n.value == 8)
        if (codes.values)
          return with_held(width, [&](auto held) {
            gated_backward_rows_kernel<act.value, held.value, T, n.value><<<static_cast<unsigned>(rows), row_threads, 0, static_cast<cudaStream_t>(stream)>>>(
                rows_of<const T>(grad), rows_of<const T>(gate_up), rows_of<T>(d_gate_up), rows_of<T>(product), codes, static_cast<int>(width));
          });
      const int64_t count = rows * (width / n);
      gated_backward_kernel<act.value, T, n.value><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(
          rows_of<const T>(grad), rows_of<const T>(gate_up), rows_of<T>(d_gate_up), rows_of<T>(product), width, count);
    });
  });
  launched("gated backward kernel");
}

}  // namespace graft::kernels
