#pragma once
// A micro-batch where the model computes, and the pass that adds its gradients: without a wait for the device, so that it can be captured.
#include <string>
#include <vector>

#include "graft/data/batches.h"
#include "graft/nn/transformer.h"
#include "graft/train/loss.h"

namespace graft {

struct MicroBatch {
  Batch batch;
  Tensor targets;    // int64 [batch * time]
  Tensor labelled;   // int64: the tokens with a target, in the flattened batch (again the first, without one, up to the number asked for); undefined: all
  Tensor values;     // a regression's, fp32 [batch * time]
  double label_smoothing = 0;
};

/// host: with room for the adapter's virtual tokens. labelled: at least so many entries, 0: as many as there are.
MicroBatch place(const HostBatch& host, const Transformer& model, const std::string& adapter, const StepContext& context, int64_t labelled = 0);
/// The same values into tensors of the same shapes, without waiting for the device.
void place_into(MicroBatch& placed, const HostBatch& host);

/// The loss of `hidden`, the states of the batch, summed over its targets: a scalar.
Tensor loss_sum(Transformer& model, const Tensor& hidden, const MicroBatch& placed);

/// How a loss counts, fp64 scalars on the device: gradients of weight * loss_sum are added, and share * loss_sum to `total`.
struct LossCount {
  Tensor weight, share, total;
};
/// A micro-batch of one adapter in a pass, in its turn laid out and placed.
struct LaidOut {
  std::string adapter;
  HostBatch host;   // with room for the adapter's virtual tokens
  StepContext context;
  LossCount count;
};
struct Placed {
  MicroBatch rows;
  LossCount count;
};
std::vector<Placed> placed(const std::vector<LaidOut>& pass, const Transformer& model);
/// One pass over the rows of all, each with its own adapter: adds to their parameters' gradients.
void add_gradients(Transformer& model, const std::vector<Placed>& pass);

}  // namespace graft
