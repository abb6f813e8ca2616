#include "graft/train/loss.h"

#include <ATen/ATen.h>

#include "graft/train/micro_batch.h"
#include "graft/train/step_graphs.h"

namespace graft {
namespace {

int64_t count_targets(const std::vector<HostBatch>& micro_batches) {
  int64_t targets = 0;
  for (const auto& host : micro_batches) targets += host.target_count;
  return targets;
}

Tensor scalar(const Transformer& model, double value) { return at::full({}, value, at::TensorOptions(at::kDouble).device(model.device())); }

/// The index-th micro-batch of each adapter that has one.
std::vector<LaidOut> lay_out(const Transformer& model, const std::vector<Share>& shares, const std::vector<LossCount>& counts, size_t index) {
  std::vector<LaidOut> pass;
  for (size_t i = 0; i < shares.size(); ++i) {
    const Share& share = shares[i];
    if (index < share.micro_batches.size() && share.micro_batches[index].target_count > 0)
      pass.push_back({share.adapter, with_virtual_tokens(share.micro_batches[index], model.virtual_tokens(share.adapter)), share.context, counts[i]});
  }
  return pass;
}

}  // namespace

std::vector<Tensor> backward_together(Transformer& model, const std::vector<Share>& shares, StepGraphs* graphs) {
  std::vector<LossCount> counts;
  std::vector<Tensor> losses;
  size_t passes = 0;
  for (const Share& share : shares) {
    const double part = 1.0 / static_cast<double>(std::max<int64_t>(1, count_targets(share.micro_batches)));
    counts.push_back({scalar(model, part * share.context.loss_scale), scalar(model, part), scalar(model, 0)});
    losses.push_back(counts.back().total);
    passes = std::max(passes, share.micro_batches.size());
  }
  for (size_t index = 0; index < passes; ++index) {
    const std::vector<LaidOut> pass = lay_out(model, shares, counts, index);
    if (pass.empty()) continue;
    if (graphs) graphs->add_gradients(pass);
    else add_gradients(model, placed(pass, model));
  }
  return losses;
}

Tensor backward(Transformer& model, const std::string& adapter, const std::vector<HostBatch>& micro_batches, const StepContext& context, StepGraphs* graphs) {
  return backward_together(model, {{adapter, micro_batches, context}}, graphs).front();
}

}  // namespace graft
