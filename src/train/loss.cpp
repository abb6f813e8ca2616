#include "graft/train/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

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

/// What several adapters bring into one pass: whose, as laid out, and as the model takes it.
struct Pass {
  std::vector<size_t> owners;
  std::vector<HostBatch> hosts;
  std::vector<MicroBatch> placed;
};

Pass gather(const Transformer& model, const std::vector<Share>& shares, size_t index) {
  Pass pass;
  for (size_t i = 0; i < shares.size(); ++i) {
    const Share& share = shares[i];
    if (index >= share.micro_batches.size() || share.micro_batches[index].target_count == 0) continue;
    pass.owners.push_back(i);
    pass.hosts.push_back(with_virtual_tokens(share.micro_batches[index], model.virtual_tokens(share.adapter)));
    pass.placed.push_back(place(pass.hosts.back(), model, share.adapter, share.context));
  }
  return pass;
}

}  // namespace

Tensor backward(Transformer& model, const std::string& adapter, const std::vector<HostBatch>& micro_batches, const StepContext& context, StepGraphs* graphs) {
  const int64_t targets = count_targets(micro_batches);
  const double part = 1.0 / static_cast<double>(std::max<int64_t>(1, targets));
  const Tensor share = scalar(model, part), weight = scalar(model, part * context.loss_scale);
  Tensor total = scalar(model, 0);
  for (const HostBatch& given : micro_batches) {
    if (given.target_count == 0) continue;
    const HostBatch host = with_virtual_tokens(given, model.virtual_tokens(adapter));
    if (graphs) graphs->add_gradients(host, context, weight, share, total);
    else add_gradients(model, place(host, model, adapter, context), weight, share, total);
  }
  return total;
}

std::vector<Tensor> backward_together(Transformer& model, const std::vector<Share>& shares) {
  std::vector<Tensor> losses;
  size_t passes = 0;
  for (const Share& share : shares) losses.push_back(scalar(model, 0)), passes = std::max(passes, share.micro_batches.size());
  for (size_t index = 0; index < passes; ++index) {
    const Pass pass = gather(model, shares, index);
    if (pass.placed.empty()) continue;
    std::vector<Batch> parts;
    for (const MicroBatch& placed : pass.placed) parts.push_back(placed.batch);
    const Tensor hidden = model.hidden(mixed(parts));
    Tensor total;
    int64_t begin = 0;
    for (size_t p = 0; p < pass.placed.size(); ++p) {
      const Share& share = shares[pass.owners[p]];
      const HostBatch& host = pass.hosts[p];
      const Tensor own = hidden.narrow(0, begin, host.rows).narrow(1, 0, host.columns);
      const Tensor loss = loss_sum(model, own, pass.placed[p]) / static_cast<double>(count_targets(share.micro_batches)), scaled = loss * share.context.loss_scale;
      losses[pass.owners[p]].add_(loss.detach());
      total = total.defined() ? total + scaled : scaled;
      begin += host.rows;
    }
    torch::autograd::backward({total}, {});
  }
  return losses;
}

}  // namespace graft
