#include "graft/ops/side_work.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace graft {

using Streams = c10::impl::VirtualGuardImpl;

void SideWork::begin(std::vector<Tensor> held, const std::function<void()>& work) {
  const c10::Device device = held.front().device();
  if (device.is_cpu()) return work();
  join();
  if (!stream_) stream_ = Streams(device.type()).getStreamFromGlobalPool(device);
  c10::Event ready(device.type());
  ready.record(Streams(device.type()).getStream(device));
  ready.block(*stream_);
  {
    const c10::StreamGuard own(*stream_);
    work();
  }
  done_.emplace(device.type());
  done_->record(*stream_);
  held_ = std::move(held);
}

void SideWork::join() {
  if (!done_) return;
  done_->block(Streams(stream_->device_type()).getStream(stream_->device()));
  done_.reset();
  held_.clear();
}

}  // namespace graft
