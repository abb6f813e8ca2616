#include "dense_cache.h"

#include "graft/core/runtime.h"
#include "graft/quant/quantized_weight.h"

namespace graft {

int64_t keep_dense(Transformer& model, int64_t bytes) {
  int64_t kept = 0;
  for (const Site* site : model.sites()) {
    const auto* weight = dynamic_cast<const QuantizedWeight*>(site->weight());
    if (!weight) continue;
    bytes -= weight->out_features() * weight->in_features() * static_cast<int64_t>(at::elementSize(weight->dtype()));
    if (bytes < 0) break;
    weight->keep_dense(true);
    ++kept;
  }
  return kept;
}

void DenseCache::on_step(const StepReport& report) {
  next_.on_step(report);
  if (++steps_ != 2) return;
  const DeviceMemory memory = device_memory(model_.device());
  // What is free now, and what the allocator holds back between steps, less what a step needs at its peak.
  const int64_t left = memory.free - (memory.allocated_peak - memory.allocated) - memory.total / 10;
  const int64_t kept = keep_dense(model_, left);
  log_.info("{} matrices are kept dense beside their codes ({:.1f} GiB were left)", kept, static_cast<double>(std::max<int64_t>(0, left)) / (1 << 30));
}

}  // namespace graft
