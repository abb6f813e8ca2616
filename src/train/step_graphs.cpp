#include "graft/train/step_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace graft {
namespace {

constexpr size_t most_graphs = 48;
constexpr int64_t most_numbers = int64_t{1} << 25;   // of a pass's hidden states: beyond them launches hide behind the work

/// More columns of padding.
void widen(HostBatch& host, int64_t columns) {
  if (columns == host.columns) return;
  const auto each = [&](auto& list, auto filler) {
    if (list.empty()) return;
    std::remove_reference_t<decltype(list)> wider;
    wider.reserve(static_cast<size_t>(host.rows * columns));
    for (int64_t row = 0; row < host.rows; ++row) {
      wider.insert(wider.end(), list.begin() + row * host.columns, list.begin() + (row + 1) * host.columns);
      wider.insert(wider.end(), static_cast<size_t>(columns - host.columns), filler);
    }
    list = std::move(wider);
  };
  each(host.ids, int64_t{0}), each(host.segments, int64_t{-1}), each(host.targets, int64_t{-100});
  each(host.positions, int64_t{0}), each(host.types, int64_t{0}), each(host.values, 0.0f);
  host.columns = columns;
}

/// How many labelled rows a graph has for these; 0: all have a label.
int64_t labelled_in_graph(const HostBatch& host) {
  const int64_t all = host.rows * host.columns;
  return host.target_count == all ? 0 : std::min(in_few_sizes(host.target_count), all);
}

int64_t tokens_of(const std::vector<LaidOut>& pass) {
  int64_t rows = 0, columns = 0;
  for (const LaidOut& part : pass) rows += part.host.rows, columns = std::max(columns, part.host.columns);
  return rows * columns;
}

std::vector<Placed> placed_for_graph(const std::vector<LaidOut>& pass, const Transformer& model) {
  std::vector<Placed> all;
  for (const LaidOut& part : pass) {
    all.push_back({place(part.host, model, part.adapter, part.context, labelled_in_graph(part.host)), part.count});
    all.back().rows.batch.step_at = at::full({}, part.context.step, at::TensorOptions(at::kLong).device(model.device()));
  }
  return all;
}

/// Whether the adapter has nothing there, or an update of a block's matrix.
bool is_update(const Site& site, const std::string& adapter) {
  const auto here = site.adapter(adapter);
  return !here || (site.kind() == SiteKind::linear && site.role() != Role::head && here->trained_factors());
}

}  // namespace

StepGraphs::StepGraphs(Transformer& model, bool replays) : model_(model), replays_(replays), capturer_(model.device()) {}

bool StepGraphs::can_capture(const Transformer& model, const std::string& adapter) {
  return model.device().is_cuda() && model.task().kind == TaskKind::causal_lm && model.fused_layers(adapter) == model.layers() &&
         std::ranges::all_of(model.sites(), [&](const Site* site) { return is_update(*site, adapter); });
}

bool StepGraphs::waits_for_launches(int64_t tokens, int64_t hidden_size) { return tokens * hidden_size <= most_numbers; }

bool StepGraphs::goes_fused(const std::vector<LaidOut>& pass) const {
  std::vector<std::string> adapters;
  for (const LaidOut& part : pass) adapters.push_back(part.adapter);
  return adapters.size() == 1 || model_.fused_layers(adapters) == model_.layers();
}

void StepGraphs::add_gradients(const std::vector<LaidOut>& given) {
  if (!waits_for_launches(tokens_of(given), model_.hidden_size()) || !goes_fused(given))
    return capturer_.run([&] { graft::add_gradients(model_, placed(given, model_)); });
  std::vector<LaidOut> pass = given;
  Shape shape;
  for (LaidOut& part : pass) {
    widen(part.host, in_few_sizes(part.host.columns));
    const TextPlaces texts = part.host.packed ? text_places(part.host) : TextPlaces();
    shape.emplace_back(part.adapter, part.host.rows, part.host.columns, labelled_in_graph(part.host), std::ssize(texts.starts), texts.longest, texts.shared);
  }
  auto found = graphs_.find(shape);
  if (found == graphs_.end()) {   // its first time, as capturing wants it
    if (replays_ && graphs_.size() < most_graphs) graphs_[shape] = {};
    return capturer_.run([&] { graft::add_gradients(model_, placed_for_graph(pass, model_)); });
  }
  Graph& graph = found->second;
  if (!graph.replay) {
    graph.pass = placed_for_graph(pass, model_);
    for (Placed& part : graph.pass)
      for (Tensor* scalar : {&part.count.weight, &part.count.share, &part.count.total}) *scalar = at::zeros_like(*scalar);
    graph.replay = capturer_.capture([&] { graft::add_gradients(model_, graph.pass); });
  }
  replay(graph, pass);
}

void StepGraphs::replay(Graph& graph, const std::vector<LaidOut>& pass) {
  for (size_t i = 0; i < pass.size(); ++i) {
    place_into(graph.pass[i].rows, pass[i].host);
    LossCount& own = graph.pass[i].count;
    own.weight.copy_(pass[i].count.weight), own.share.copy_(pass[i].count.share), own.total.zero_();
    graph.pass[i].rows.batch.step_at.fill_(pass[i].context.step);
  }
  graph.replay();
  for (size_t i = 0; i < pass.size(); ++i) Tensor(pass[i].count.total).add_(graph.pass[i].count.total);
}

}  // namespace graft
