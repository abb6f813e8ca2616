#include "graft/ops/host_store.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace graft {
namespace {

using Streams = c10::impl::VirtualGuardImpl;

c10::Stream current_stream_of(c10::Device device) { return Streams(device.type()).getStream(device); }

/// What is asked of `later` from now on comes after what was asked of `earlier`.
void order(const c10::Stream& earlier, const c10::Stream& later) {
  c10::Event event(earlier.device_type());
  event.record(earlier);
  event.block(later);
}

}  // namespace

std::shared_ptr<HostStore::Slot> HostStore::put(const Tensor& x) {
  auto slot = std::make_shared<Slot>();
  slot->before = last_;
  last_ = slot;
  if (x.is_cpu()) {
    slot->fetched = x;
    return slot;
  }
  if (!stream_) stream_ = Streams(x.device().type()).getStreamFromGlobalPool(x.device());
  slot->host = at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true));
  order(current_stream_of(x.device()), *stream_);
  const c10::StreamGuard own(*stream_);
  slot->host.copy_(x, /*non_blocking=*/true);
  x.record_stream(*stream_);   // its memory is not used again before the copy is done
  return slot;
}

void HostStore::fetch(Slot& slot) const {
  if (slot.fetched.defined() || !slot.host.defined()) return;
  const c10::StreamGuard own(*stream_);
  slot.fetched = at::empty(slot.host.sizes(), slot.host.options().device(stream_->device()).pinned_memory(false));
  slot.fetched.copy_(slot.host, /*non_blocking=*/true);
  slot.ready.emplace(stream_->device_type());
  slot.ready->record(*stream_);
}

Tensor HostStore::take(Slot& slot) {
  fetch(slot);
  const Tensor x = std::exchange(slot.fetched, Tensor());
  slot.host.reset();
  if (x.is_cpu()) return x;
  const c10::Stream current = current_stream_of(x.device());
  slot.ready->block(current);
  x.record_stream(current);
  if (const auto before = slot.before.lock()) {
    order(current, *stream_);   // not sooner than it is needed: its memory would lie there for nothing
    fetch(*before);
  }
  return x;
}

}  // namespace graft
