#include "graft/train/read_back.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace graft {

ReadBack::ReadBack(const Tensor& numbers) : host_(numbers) {
  const at::Device device = numbers.device();
  if (device.is_cpu()) return;
  host_ = at::empty(numbers.sizes(), numbers.options().device(at::kCPU).pinned_memory(true));
  host_.copy_(numbers, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

Tensor ReadBack::numbers() const {
  if (arrived_) arrived_->synchronize();
  return host_;
}

}  // namespace graft
