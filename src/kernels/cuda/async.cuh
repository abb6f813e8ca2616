#pragma once
// Copies into shared memory for which a warp does not wait; from sm_80 on.

namespace graft::kernels {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
/// Sixteen bytes; zeros if they are not there.
__device__ inline void copy_async(void* to, const void* from, bool there) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(there ? 16 : 0));
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;"); }
template <int pending>
__device__ void await_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending));
}
#endif

}  // namespace graft::kernels
