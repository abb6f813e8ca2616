#include "graft/train/step_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace graft {
namespace {

constexpr size_t most_graphs = 48;
constexpr int64_t most_numbers = int64_t{1} << 25;   // of a pass's hidden states: beyond them launches hide behind the work

/// The next size that is worth a graph of its own: steps of an eighth, so that little is padding.
int64_t rounded_up(int64_t size) {
  int64_t step = 8;
  while (step * 16 < size) step *= 2;
  return (size + step - 1) / step * step;
}

/// More columns of padding.
HostBatch widened(const HostBatch& host, int64_t columns) {
  if (columns == host.columns) return host;
  HostBatch out = host;
  out.columns = columns;
  const auto widen = [&](const auto& from, auto& to, auto filler) {
    if (from.empty()) return;
    to.clear();
    for (int64_t row = 0; row < host.rows; ++row) {
      to.insert(to.end(), from.begin() + row * host.columns, from.begin() + (row + 1) * host.columns);
      to.insert(to.end(), static_cast<size_t>(columns - host.columns), filler);
    }
  };
  widen(host.ids, out.ids, int64_t{0}), widen(host.segments, out.segments, int64_t{-1}), widen(host.targets, out.targets, int64_t{-100});
  widen(host.positions, out.positions, int64_t{0}), widen(host.types, out.types, int64_t{0}), widen(host.values, out.values, 0.0f);
  return out;
}

}  // namespace

StepGraphs::StepGraphs(Transformer& model, std::string adapter) : model_(model), adapter_(std::move(adapter)), capturer_(model.device()) {
  weight_ = at::zeros({}, at::TensorOptions(at::kDouble).device(model.device()));
  share_ = at::zeros_like(weight_), total_ = at::zeros_like(weight_);
}

bool StepGraphs::can_capture(const Transformer& model, const std::string& adapter) {
  const auto fits = [&](const Site* site) {
    const auto here = site->adapter(adapter);
    const auto update = here ? here->trained_factors() : std::nullopt;
    return !here || (site->kind() == SiteKind::linear && site->role() != Role::head && update && update->dropout == 0);
  };
  return model.device().is_cuda() && model.task().kind == TaskKind::causal_lm && model.fused_layers(adapter) == model.layers() && std::ranges::all_of(model.sites(), fits);
}

bool StepGraphs::waits_for_launches(int64_t rows, int64_t columns, int64_t hidden_size) { return rows * columns * hidden_size <= most_numbers; }

void StepGraphs::add_gradients(const HostBatch& given, const StepContext& context, const Tensor& weight, const Tensor& share, Tensor& total) {
  const auto launch = [&](const HostBatch& host, int64_t labelled) {
    capturer_.run([&] { graft::add_gradients(model_, place(host, model_, adapter_, context, labelled), weight, share, total); });
  };
  if (!waits_for_launches(given.rows, given.columns, model_.hidden_size())) return launch(given, 0);
  const HostBatch host = widened(given, rounded_up(given.columns));
  const bool all = host.target_count == host.rows * host.columns;
  const int64_t labelled = all ? 0 : std::min(rounded_up(host.target_count), host.rows * host.columns);
  const Shape shape{host.rows, host.columns, labelled, host.packed};
  auto found = graphs_.find(shape);
  if (found == graphs_.end()) {
    if (graphs_.size() == most_graphs) return launch(given, 0);
    graphs_[shape] = {};
    return launch(host, labelled);   // as capturing wants it
  }
  Graph& graph = found->second;
  if (!graph.replay) {
    graph.placed = place(host, model_, adapter_, context, labelled);
    graph.replay = capturer_.capture([&] { graft::add_gradients(model_, graph.placed, weight_, share_, total_); });
  }
  replay(graph, host, weight, share, total);
}

void StepGraphs::replay(Graph& graph, const HostBatch& host, const Tensor& weight, const Tensor& share, Tensor& total) {
  place_into(graph.placed, host);
  weight_.copy_(weight), share_.copy_(share), total_.zero_();
  graph.replay();
  total.add_(total_);
}

}  // namespace graft
