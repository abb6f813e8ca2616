#pragma once
// What a forward pass is told about its tokens. Handed down by const reference (captured by value where a block is recomputed): no layer
// reads anything from elsewhere.
#include <string>

#include "graft/core/tensor.h"
#include "graft/ops/attention.h"
#include "graft/ops/rope.h"

namespace graft {

struct HostBatch;

struct Batch {
  Tensor ids;          // int64 [batch, time]
  Tensor positions;    // int64 [batch, time]: of each token in its sample
  Tensor segments;     // int64 [batch, time]: which sample; -1: padding
  std::string adapter; // which adapter the seats use; "": the base alone
  bool training = false;
  uint64_t seed = 0;   // of dropout
  int64_t step = 0;    // the optimizer step: dropout's masks change with it

  // Set by the model at the start of a pass, the same for every layer.
  Rotation rotation;
  AttentionMask mask;
};

Batch to_batch(const HostBatch& host, at::Device device);

}  // namespace graft
