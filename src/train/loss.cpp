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

/// Rows without a target never reach the head.
Tensor loss_of(Transformer& model, const Batch& batch, const HostBatch& host, double scale) {
  const Tensor targets = at::tensor(host.targets, at::kLong).to(model.device());
  const Tensor labelled = targets.ne(-100).nonzero().squeeze(1);
  const Tensor rows = model.hidden(batch).flatten(0, 1).index_select(0, labelled);
  if (model.task().kind == TaskKind::regression)
    return squared_error(model, rows, tokens_of(batch, labelled), at::tensor(host.values).to(model.device()).index_select(0, labelled), scale);
  const Tensor labels = targets.index_select(0, labelled);
  if (const Linear* head = model.vocabulary_head(); head && !head->adapter(batch.adapter))
    return linear_cross_entropy(rows, frozen_head(*head->weight()), labels, scale);
  const auto head = [&model, batch, labelled](const Tensor& h, int64_t begin) {
    return model.predict(h, tokens_of(batch, labelled.narrow(0, begin, h.size(0))));
  };
  return chunked_cross_entropy(rows, head, labels, scale);
}

}  // namespace

double backward(Transformer& model, const std::string& adapter, const std::vector<HostBatch>& micro_batches, const StepContext& context) {
  int64_t targets = 0;
  for (const auto& host : micro_batches) targets += host.target_count;
  Tensor total;
  for (const HostBatch& host : micro_batches) {
    if (host.target_count == 0) continue;
    Batch batch = to_batch(host, model.device());
    batch.adapter = adapter;
    batch.training = true;
    batch.seed = context.seed;
    batch.step = context.step;
    const Tensor loss = loss_of(model, batch, host, 1.0 / static_cast<double>(targets));
    torch::autograd::backward({loss * context.loss_scale}, {});
    total = total.defined() ? total + loss.detach() : loss.detach();
  }
  return total.defined() ? total.item<double>() : 0;
}

}  // namespace graft
