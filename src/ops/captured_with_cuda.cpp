#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

#include "graft/ops/captured.h"

namespace graft {

struct Capturer::State {
  explicit State(c10::Device device) : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}
  c10::cuda::CUDAStream stream;
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();

  /// f on the stream, after what was asked of the current one and before what will be.
  template <class F>
  void in_order(F&& f) const {
    const c10::cuda::CUDAStream outside = c10::cuda::getCurrentCUDAStream(stream.device_index());
    if (outside == stream) return f();
    at::cuda::CUDAEvent before, after;
    before.record(outside);
    before.block(stream);
    {
      const c10::cuda::CUDAStreamGuard guard(stream);
      f();
    }
    after.record(stream);
    after.block(outside);
  }
};

Capturer::Capturer(c10::Device device) {
  if (device.is_cuda()) state_ = std::make_shared<State>(device);
}
Capturer::~Capturer() = default;

void Capturer::run(const std::function<void()>& work) const { state_ ? state_->in_order(work) : work(); }

std::function<void()> Capturer::capture(const std::function<void()>& work) const {
  if (!state_) return work;
  auto graph = std::make_shared<at::cuda::CUDAGraph>();
  {
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();   // the graph's memory is apart: what passes without one left cached would lie there beside it
    const c10::cuda::CUDAStreamGuard guard(state_->stream);
    graph->capture_begin(state_->pool, cudaStreamCaptureModeThreadLocal);   // autograd's threads launch into it too
    try {
      work();
    } catch (...) {
      graph->capture_end();
      throw;
    }
    graph->capture_end();
  }
  return [graph, state = state_] { state->in_order([&] { graph->replay(); }); };
}

}  // namespace graft
