#include "graft/train/micro_batch.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "graft/ops/launch.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/ops/staged.h"

namespace graft {
namespace {

template <class T>
Tensor on_host(const std::vector<T>& values) {
  return at::from_blob(const_cast<T*>(values.data()), {static_cast<int64_t>(values.size())}, c10::CppTypeToScalarType<T>::value);
}

std::vector<int64_t> labelled_tokens(const HostBatch& host, int64_t at_least) {
  std::vector<int64_t> labelled;
  for (size_t i = 0; i < host.targets.size(); ++i)
    if (host.targets[i] != -100) labelled.push_back(static_cast<int64_t>(i));
  const auto without = std::ranges::find(host.targets, -100);
  const auto filler = static_cast<int64_t>(without - host.targets.begin());
  if (static_cast<int64_t>(labelled.size()) < at_least) labelled.resize(static_cast<size_t>(at_least), filler);
  return labelled;
}

/// Rows of x. Back by a copy: whoever is picked twice has no target, so no gradient, and at::index_select's own way back adds element by element.
class PickRows : public torch::autograd::Function<PickRows> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& rows) {
    context->save_for_backward({rows});
    context->saved_data["rows"] = x.size(0);
    return x.index_select(0, rows);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    Tensor dx = at::zeros({context->saved_data["rows"].toInt(), grads[0].size(1)}, grads[0].options());
    return {dx.index_copy_(0, context->get_saved_variables()[0], grads[0]), Tensor()};
  }
};

/// sum of (prediction - value)^2 over the picked states of a regression.
Tensor squared_error(Transformer& model, const Tensor& rows, const Batch& picked, const Tensor& values) {
  const Tensor prediction = model.predict(rows, picked).squeeze(-1);
  const at::ScalarType wide = wide_type(prediction);
  return (prediction.to(wide) - values.to(wide)).square().sum();
}

}  // namespace

MicroBatch place(const HostBatch& host, const Transformer& model, const std::string& adapter, const StepContext& context, int64_t labelled) {
  MicroBatch placed;
  placed.batch = to_batch(host, model.device());
  placed.batch.adapter = adapter, placed.batch.training = true, placed.batch.seed = context.seed, placed.batch.step = context.step;
  placed.label_smoothing = context.label_smoothing;
  const auto send = [&](const Tensor& on_host) { return staged(on_host, model.device()).to(model.device(), /*non_blocking=*/true); };
  placed.targets = send(on_host(host.targets));
  const auto tokens = labelled_tokens(host, labelled);   // on the host: asking the device would wait for it
  if (tokens.size() < host.targets.size() || labelled > 0) placed.labelled = send(on_host(tokens));
  if (!host.values.empty()) placed.values = send(on_host(host.values));
  return placed;
}

void place_into(MicroBatch& placed, const HostBatch& host) {
  const auto into = [](Tensor& tensor, const auto& values) {
    if (tensor.defined()) tensor.flatten().copy_(staged(on_host(values), tensor.device()), /*non_blocking=*/true);
  };
  into(placed.batch.ids, host.ids), into(placed.batch.positions, host.positions), into(placed.batch.segments, host.segments);
  into(placed.batch.types, host.types), into(placed.targets, host.targets);
  if (Texts& texts = placed.batch.texts; texts.starts.defined()) {
    const TextPlaces places = text_places(host);
    into(texts.starts, places.starts);
    if (texts.bounds.defined()) into(texts.bounds, places.bounds());
  }
  if (placed.labelled.defined()) into(placed.labelled, labelled_tokens(host, placed.labelled.size(0)));
  into(placed.values, host.values);
}

Tensor loss_sum(Transformer& model, const Tensor& hidden, const MicroBatch& placed) {
  const auto pick = [&](const Tensor& of_tokens) { return placed.labelled.defined() ? PickRows::apply(of_tokens, placed.labelled) : of_tokens; };
  const Tensor rows = pick(hidden.flatten(0, 1)), labels = pick(placed.targets);
  const Batch& batch = placed.batch;
  const auto picked = [&](int64_t begin, int64_t count) {
    const Tensor tokens = placed.labelled.defined() ? placed.labelled : at::arange(batch.ids.numel(), batch.ids.options());
    return tokens_of(batch, tokens.narrow(0, begin, count));
  };
  if (model.task().kind == TaskKind::regression) return squared_error(model, rows, picked(0, rows.size(0)), pick(placed.values));
  if (const Weight* head = model.frozen_head(batch.adapter)) return linear_cross_entropy(rows, frozen_head(*head), labels, 1, placed.label_smoothing);
  const auto head = [&model, picked](const Tensor& h, int64_t begin) { return model.predict(h, picked(begin, h.size(0))); };
  return chunked_cross_entropy(rows, head, labels, 1, placed.label_smoothing);
}

std::vector<Placed> placed(const std::vector<LaidOut>& pass, const Transformer& model) {
  std::vector<Placed> all;
  for (const LaidOut& part : pass) all.push_back({place(part.host, model, part.adapter, part.context), part.count});
  return all;
}

void add_gradients(Transformer& model, const std::vector<Placed>& pass) {
  std::vector<Batch> parts;
  for (const Placed& placed : pass) parts.push_back(placed.rows.batch);
  const Tensor hidden = model.hidden(parts.size() == 1 ? parts.front() : mixed(parts));
  std::vector<Tensor> sums, weights;
  int64_t begin = 0;
  for (const Placed& placed : pass) {
    const at::IntArrayRef shape = placed.rows.batch.ids.sizes();
    sums.push_back(loss_sum(model, hidden.narrow(0, begin, shape[0]).narrow(1, 0, shape[1]), placed.rows));
    weights.push_back(placed.count.weight.to(sums.back().scalar_type()));
    begin += shape[0];
  }
  torch::autograd::backward(sums, weights);
  for (size_t i = 0; i < pass.size(); ++i) Tensor(pass[i].count.total).add_(sums[i].detach().to(at::kDouble).mul_(pass[i].count.share));
}

}  // namespace graft
