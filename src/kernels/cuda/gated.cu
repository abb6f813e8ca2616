// SwiGLU and GeGLU (Shazeer 2020) over [gate | up]; backward rebuilds the product, which is never stored.
#include "vectors.cuh"

namespace graft::kernels {
namespace {

/// An activation's value and slope. Both are x sigmoid(f(x)): gelu's approximation by tanh since (1 + tanh(u)) / 2 = sigmoid(2 u).
template <Gate gate>
__device__ float2 activated(float x) {
  constexpr float root = 0.7978845608028654f, cube = 0.044715f;
  const float f = gate == Gate::silu ? x : 2 * root * (x + cube * x * x * x), slope = gate == Gate::silu ? 1.0f : 2 * root * (1.0f + 3.0f * cube * x * x);
  const float s = __fdividef(1.0f, 1.0f + __expf(-f));
  return {x * s, s + x * s * (1.0f - s) * slope};
}

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

template <class F>
void with_gate(Gate gate, F&& f) {
  if (gate == Gate::silu) f(std::integral_constant<Gate, Gate::silu>{});
  else f(std::integral_constant<Gate, Gate::gelu_tanh>{});
}

constexpr int threads = 256;
unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + threads - 1) / threads); }

}  // namespace

void gated_cuda(Matrix gate_up, Matrix out, Gate gate, Real type, int64_t rows, int64_t width, void* stream) {
  if (rows == 0) return;
  with_gate(gate, [&](auto act) {
    with_vectors(type, width, {gate_up, out}, [&](auto* t, auto n) {
      using T = std::remove_pointer_t<decltype(t)>;
      const int64_t count = rows * (width / n);
      gated_kernel<act.value, T, n.value><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(rows_of<const T>(gate_up), rows_of<T>(out), width, count);
    });
  });
  launched("gated kernel");
}

void gated_backward_cuda(Matrix grad, Matrix gate_up, Matrix d_gate_up, Matrix product, Gate gate, Real type, int64_t rows, int64_t width, void* stream) {
  if (rows == 0) return;
  with_gate(gate, [&](auto act) {
    with_vectors(type, width, {grad, gate_up, d_gate_up, product}, [&](auto* t, auto n) {
      using T = std::remove_pointer_t<decltype(t)>;
      const int64_t count = rows * (width / n);
      gated_backward_kernel<act.value, T, n.value><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(
          rows_of<const T>(grad), rows_of<const T>(gate_up), rows_of<T>(d_gate_up), rows_of<T>(product), width, count);
    });
  });
  launched("gated backward kernel");
}

}  // namespace graft::kernels
