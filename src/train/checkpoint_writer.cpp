#include "graft/train/checkpoint_writer.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "graft/core/error.h"
#include "graft/train/guard.h"

namespace graft {
namespace {

using Streams = c10::impl::VirtualGuardImpl;

/// Where the tensors' device is in its work, so that a copy on another stream waits for what was asked of it before.
std::optional<c10::Event> now_on_device(const TensorMap& tensors) {
  if (tensors.empty() || tensors.begin()->second.is_cpu()) return std::nullopt;
  const at::Device device = tensors.begin()->second.device();
  c10::Event event(device.type());
  event.record(Streams(device.type()).getStream(device));
  return event;
}

TensorMap copies(const TensorMap& live) {
  TensorMap all;
  for (const auto& [name, tensor] : live) all[name] = at::empty_like(tensor, at::TensorOptions(at::kCPU)).copy_(tensor);
  return all;
}

/// `copied` becomes ready however this ends: it goes with it.
Checkpoint snapshot(const Checkpoint& live, std::optional<c10::Event> ready, std::promise<void> copied) {
  const at::NoGradGuard no_grad;
  std::optional<c10::StreamGuard> own_stream;
  if (ready) {
    const at::Device device = live.adapter.begin()->second.device();
    own_stream.emplace(Streams(device.type()).getStreamFromGlobalPool(device));
    ready->block(own_stream->current_stream());
  }
  return {live.state, copies(live.adapter), copies(live.optimizer), live.facts, live.job};
}

}  // namespace

CheckpointWriter::CheckpointWriter(CheckpointFolder folder, int64_t keep, Log log)
    : folder_(std::move(folder)), keep_(keep), log_(std::move(log)) {}

CheckpointWriter::~CheckpointWriter() {
  try {
    take(/*wait=*/true);
  } catch (const std::exception& e) {
    log_.warn("{}", e.what());
  }
}

void CheckpointWriter::begin(Checkpoint live, const std::string& last_good) {
  check(!busy(), "a checkpoint is still being written");
  std::promise<void> copied;
  copied_ = copied.get_future();
  std::optional<c10::Event> ready = now_on_device(live.adapter);
  written_ = std::async(std::launch::async, [live = std::move(live), ready = std::move(ready), copied = std::move(copied),
                                             last_good, folder = folder_, keep = keep_]() mutable {
    const Checkpoint own = snapshot(live, std::move(ready), std::move(copied));
    check_finite(own.adapter, "the adapter's", own.state.step, last_good);
    check_finite(own.optimizer, "the optimizer's", own.state.step, last_good);
    return folder.write(own, keep);
  });
}

void CheckpointWriter::await_copy() {
  if (copied_.valid()) copied_.wait();
}

std::optional<std::filesystem::path> CheckpointWriter::take(bool wait) {
  if (!busy() || (!wait && written_.wait_for(std::chrono::seconds(0)) != std::future_status::ready)) return std::nullopt;
  return written_.get();
}

}  // namespace graft
