#pragma once
// What callers of kernels share: the element type as kernels name it, the stream, and rows cut over threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "graft/core/error.h"
#include "graft/kernels/block.h"

namespace graft {

inline kernels::Real real_type(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat: return kernels::Real::fp32;
    case at::kBFloat16: return kernels::Real::bf16;
    case at::kHalf: return kernels::Real::fp16;
    default: fail("kernels take fp32, bf16 and fp16, not {}", at::toString(x.scalar_type()));
  }
}

/// The type in which a sum or a norm over 16-bit numbers is taken.
inline at::ScalarType wide_type(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }
inline at::ScalarType wide_type(const at::Tensor& x) { return wide_type(x.scalar_type()); }

/// A product whose sums stay wide: fp32 where the inputs are narrower.
inline at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == at::kFloat || a.scalar_type() == at::kDouble) return at::mm(a, b);
  return a.is_cuda() ? at::mm(a, b, at::kFloat) : at::mm(a.to(at::kFloat), b.to(at::kFloat));
}

/// The GPU's current stream.
inline void* current_stream(const at::Tensor& x) {
  return c10::impl::VirtualGuardImpl(x.device().type()).getStream(x.device()).native_handle();
}

/// [rows, columns] with unit column stride, or undefined: as kernels take it.
inline kernels::Matrix matrix_of(const at::Tensor& x) {
  if (!x.defined()) return {};
  check(x.dim() == 2 && (x.stride(1) == 1 || x.size(1) == 1), "kernels take rows with unit column stride");
  return {const_cast<void*>(x.const_data_ptr()), x.stride(0)};
}

inline bool in_sixteen_bits(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf; }
/// Whether rows can be read eight elements at a time.
inline bool in_eights(const at::Tensor& x) { return x.stride(0) % 8 == 0 && reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0; }

/// Whether the GPU's kernels take this tensor; the CPU's: below.
inline bool has_gpu_kernel(const at::Tensor& x) { return x.is_cuda() && x.scalar_type() != at::kDouble; }

/// to = from: rows that may lie in wider matrices, which ATen copies element by element.
inline void copy_rows(const at::Tensor& from, const at::Tensor& to) {
  if (!has_gpu_kernel(to)) {
    to.copy_(from);
    return;
  }
  kernels::copy_rows_cuda(matrix_of(from), matrix_of(to), real_type(to), to.size(0), to.size(1), current_stream(to));
}

/// Whether the CPU kernels take this tensor (float64 and other devices go the plain way).
inline bool has_cpu_kernel(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf);
}

/// The address of row `i` of a contiguous [rows, columns] tensor.
inline const char* row_of(const at::Tensor& x, int64_t i, int64_t columns) {
  return static_cast<const char*>(x.const_data_ptr()) + i * columns * static_cast<int64_t>(x.element_size());
}
inline char* row_of(at::Tensor& x, int64_t i, int64_t columns) {
  return static_cast<char*>(x.mutable_data_ptr()) + i * columns * static_cast<int64_t>(x.element_size());
}

/// f(begin, end) over pieces of the rows, each worth a thread's while.
template <class F>
void for_rows(int64_t rows, int64_t columns, F&& f) {
  at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns)), f);
}

}  // namespace graft
