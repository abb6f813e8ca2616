#include "graft/nn/batch.h"

#include <ATen/ATen.h>

#include "graft/data/batches.h"

namespace graft {

Batch to_batch(const HostBatch& host, at::Device device) {
  const auto tensor = [&](const std::vector<int64_t>& values) {
    void* data = const_cast<int64_t*>(values.data());
    return at::from_blob(data, {host.rows, host.columns}, at::kLong).clone().to(device);
  };
  Batch batch;
  batch.ids = tensor(host.ids);
  batch.positions = tensor(host.positions);
  batch.segments = tensor(host.segments);
  return batch;
}

}  // namespace graft
