#pragma once
// Rows read and written 16 bytes at a time where they are aligned, element by element where they are not.
#include <cstdint>
#include <type_traits>

#include "graft/kernels/block.h"
#include "reals.cuh"

namespace graft::kernels {

template <class T, int N>
struct alignas(N * sizeof(T)) Vector {
  T at[N];
};

template <int N, class T>
__device__ inline void load_all(const T* p, float (&x)[N]) {
  const auto v = *reinterpret_cast<const Vector<T, N>*>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = load(v.at[i]);
}

template <int N, class T>
__device__ inline void put_all(T* p, const float (&x)[N]) {
  Vector<T, N> v;
#pragma unroll
  for (int i = 0; i < N; ++i) put(&v.at[i], x[i]);
  *reinterpret_cast<Vector<T, N>*>(p) = v;
}

template <class T>
struct RowsOf {
  T* data;
  int64_t stride;
  __device__ T* row(int64_t i) const { return data + i * stride; }
  __device__ explicit operator bool() const { return data != nullptr; }
};

template <class T>
RowsOf<T> rows_of(Matrix m) {
  return {static_cast<T*>(m.data), m.stride};
}

/// Whether rows of `columns` can be read `width` elements at a time.
inline bool aligned(int width, int size, int64_t columns, std::initializer_list<Matrix> all) {
  bool fits = columns % width == 0;
  for (const Matrix& m : all)
    if (m.data) fits = fits && m.stride % width == 0 && reinterpret_cast<uintptr_t>(m.data) % static_cast<uintptr_t>(width * size) == 0;
  return fits;
}

/// f with the element type and how many of them an access takes: 16 bytes' worth, or one.
template <class F>
void with_vectors(Real type, int64_t columns, std::initializer_list<Matrix> all, F&& f) {
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int width = 16 / sizeof(T);
    if (aligned(width, sizeof(T), columns, all)) f(t, std::integral_constant<int, width>{});
    else f(t, std::integral_constant<int, 1>{});
  });
}

/// The sum over the `lanes` (a power of two) threads of a warp that stand together.
__device__ inline float sum_of_lanes(float x, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

}  // namespace graft::kernels
