#pragma once
// Host memory on its way to a device.
#include <ATen/core/Tensor.h>

namespace graft {

/// A copy in memory that a device reads by itself: copied on with non_blocking, it makes nothing wait for what the device was asked before.
inline at::Tensor staged(const at::Tensor& host, at::Device device) { return device.is_cuda() ? host.pin_memory() : host.clone(); }

}  // namespace graft
