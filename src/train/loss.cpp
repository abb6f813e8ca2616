#include "graft/train/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "graft/ops/linear_cross_entropy.h"

namespace graft {
namespace {

/// sum of (prediction - value)^2 * scale over the picked states of a regression.
Tensor squared_error(Transformer& model, const Tensor& rows, const Batch& picked, const Tensor& values, double scale) {
  const Tensor prediction = model.predict(rows, picked).squeeze(-1);
  const at::ScalarType wide = prediction.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return (prediction.to(wide) - values.to(wide)).square().sum() * scale;
}

/// hidden: the states of `batch`. Those without a target never reach the head.
Tensor loss_of(Transformer& model, const Tensor& hidden, const Batch& batch, const HostBatch& host, double scale) {
  const Tensor targets = at::tensor(host.targets, at::kLong).to(model.device());
  const Tensor labelled = targets.ne(-100).nonzero().squeeze(1);
  const Tensor rows = hidden.flatten(0, 1).index_select(0, labelled);
  if (model.task().kind == TaskKind::regression)
    return squared_error(model, rows, tokens_of(batch, labelled), at::tensor(host.values).to(model.device()).index_select(0, labelled), scale);
  const Tensor labels = targets.index_select(0, labelled);
  if (const Weight* head = model.frozen_head(batch.adapter)) return linear_cross_entropy(rows, frozen_head(*head), labels, scale);
  const auto head = [&model, batch, labelled](const Tensor& h, int64_t begin) {
    return model.predict(h, tokens_of(batch, labelled.narrow(0, begin, h.size(0))));
  };
  return chunked_cross_entropy(rows, head, labels, scale);
}

int64_t count_targets(const std::vector<HostBatch>& micro_batches) {
  int64_t targets = 0;
  for (const auto& host : micro_batches) targets += host.target_count;
  return targets;
}

Batch training_batch(const HostBatch& host, const Transformer& model, const std::string& adapter, const StepContext& context) {
  Batch batch = to_batch(host, model.device());
  batch.adapter = adapter, batch.training = true, batch.seed = context.seed, batch.step = context.step;
  return batch;
}

/// What several adapters bring into one pass: whose, as laid out, and as the model takes it.
struct Pass {
  std::vector<size_t> owners;
  std::vector<HostBatch> hosts;
  std::vector<Batch> parts;
};

Pass gather(const Transformer& model, const std::vector<Share>& shares, size_t index) {
  Pass pass;
  for (size_t i = 0; i < shares.size(); ++i) {
    const Share& share = shares[i];
    if (index >= share.micro_batches.size() || share.micro_batches[index].target_count == 0) continue;
    pass.owners.push_back(i);
    pass.hosts.push_back(with_virtual_tokens(share.micro_batches[index], model.virtual_tokens(share.adapter)));
    pass.parts.push_back(training_batch(pass.hosts.back(), model, share.adapter, share.context));
  }
  return pass;
}

}  // namespace

double backward(Transformer& model, const std::string& adapter, const std::vector<HostBatch>& micro_batches, const StepContext& context) {
  const int64_t targets = count_targets(micro_batches);
  Tensor total;
  for (const HostBatch& given : micro_batches) {
    if (given.target_count == 0) continue;
    const HostBatch host = with_virtual_tokens(given, model.virtual_tokens(adapter));
    const Batch batch = training_batch(host, model, adapter, context);
    const Tensor loss = loss_of(model, model.hidden(batch), batch, host, 1.0 / static_cast<double>(targets));
    torch::autograd::backward({loss * context.loss_scale}, {});
    total = total.defined() ? total + loss.detach() : loss.detach();
  }
  return total.defined() ? total.item<double>() : 0;
}

std::vector<double> backward_together(Transformer& model, const std::vector<Share>& shares) {
  std::vector<double> losses(shares.size(), 0);
  size_t passes = 0;
  for (const Share& share : shares) passes = std::max(passes, share.micro_batches.size());
  for (size_t index = 0; index < passes; ++index) {
    const Pass pass = gather(model, shares, index);
    if (pass.parts.empty()) continue;
    const Tensor hidden = model.hidden(mixed(pass.parts));
    Tensor total;
    std::vector<Tensor> each;
    int64_t begin = 0;
    for (size_t p = 0; p < pass.parts.size(); ++p) {
      const Share& share = shares[pass.owners[p]];
      const HostBatch& host = pass.hosts[p];
      const Tensor own = hidden.narrow(0, begin, host.rows).narrow(1, 0, host.columns);
      each.push_back(loss_of(model, own, pass.parts[p], host, 1.0 / static_cast<double>(count_targets(share.micro_batches))));
      const Tensor scaled = each.back() * share.context.loss_scale;
      total = total.defined() ? total + scaled : scaled;
      begin += host.rows;
    }
    torch::autograd::backward({total}, {});
    const Tensor values = at::stack(each).detach().to(at::kDouble).cpu();
    for (size_t p = 0; p < pass.parts.size(); ++p) losses[pass.owners[p]] += values[static_cast<int64_t>(p)].item<double>();
  }
  return losses;
}

}  // namespace graft
