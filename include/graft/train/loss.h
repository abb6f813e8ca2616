#pragma once
// The loss of one optimizer step: the sum over target tokens of all its micro-batches, divided by their number in the whole step, so that
// accumulation equals one large batch.
#include <string>
#include <vector>

#include "graft/data/batches.h"
#include "graft/nn/transformer.h"

namespace graft {

class StepGraphs;

struct StepContext {
  uint64_t seed = 0;       // of dropout
  int64_t step = 0;
  double loss_scale = 1;   // fp16: gradients come out so much larger
  double label_smoothing = 0;
};

/// One adapter's part in a step that several take together.
struct Share {
  std::string adapter;
  std::vector<HostBatch> micro_batches;
  StepContext context;
};

/// Adds the step's gradients to the adapter's parameters; returns the loss (unscaled), an fp64 scalar on the device: nothing waits for it.
/// graphs: may replay what they have seen; null: none.
Tensor backward(Transformer& model, const std::string& adapter, const std::vector<HostBatch>& micro_batches, const StepContext& context, StepGraphs* graphs = nullptr);

/// The same for several adapters over one base: their first micro-batches in one pass, then their second ... Returns each one's loss, which is
/// that of a solo step but for the rounding of shared products.
std::vector<Tensor> backward_together(Transformer& model, const std::vector<Share>& shares, StepGraphs* graphs = nullptr);

}  // namespace graft
