#include "graft/nn/batch.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/data/batches.h"

namespace graft {
namespace {

Tensor padded(const Tensor& x, int64_t columns, int64_t value) { return at::constant_pad_nd(x, {0, columns - x.size(1)}, value); }

/// Positions go on counting in padding.
Tensor padded_positions(const Tensor& x, int64_t columns) {
  if (columns == x.size(1)) return x;
  const Tensor more = at::arange(1, columns - x.size(1) + 1, x.options());
  return at::cat({x, x.slice(1, -1) + more}, 1);
}

}  // namespace

Batch to_batch(const HostBatch& host, at::Device device) {
  const auto tensor = [&](const std::vector<int64_t>& values) {
    void* data = const_cast<int64_t*>(values.data());
    return at::from_blob(data, {host.rows, host.columns}, at::kLong).clone().to(device);
  };
  Batch batch;
  batch.ids = tensor(host.ids);
  batch.positions = tensor(host.positions);
  batch.segments = tensor(host.segments);
  if (!host.types.empty()) batch.types = tensor(host.types);
  return batch;
}

HostBatch with_virtual_tokens(const HostBatch& host, const VirtualTokens& tokens) {
  if (tokens.count() == 0) return host;
  HostBatch out = host;
  out.columns = host.columns + tokens.slots;
  for (auto* list : {&out.ids, &out.positions, &out.segments, &out.types, &out.targets}) list->clear();
  out.values.clear();
  // A text's label stays at the row's first column, whatever lies there.
  const bool first = host.pooling == Pooling::cls || host.pooling == Pooling::mean;
  for (int64_t row = 0; row < host.rows; ++row) {
    const auto begin = static_cast<size_t>(row * host.columns);
    for (int64_t slot = 0; slot < tokens.slots; ++slot) {
      out.ids.push_back(-1 - slot), out.positions.push_back(tokens.prefix + slot), out.segments.push_back(host.segments[begin]);
      if (!host.types.empty()) out.types.push_back(0);
      if (!host.targets.empty()) out.targets.push_back(-100);
    }
    const auto append = [&](std::vector<int64_t>& to, const std::vector<int64_t>& from) {
      if (!from.empty()) to.insert(to.end(), from.begin() + static_cast<int64_t>(begin), from.begin() + static_cast<int64_t>(begin) + host.columns);
    };
    if (!host.values.empty()) {
      out.values.insert(out.values.end(), static_cast<size_t>(tokens.slots), 0.0f);
      out.values.insert(out.values.end(), host.values.begin() + static_cast<int64_t>(begin), host.values.begin() + static_cast<int64_t>(begin) + host.columns);
    }
    const size_t row_begin = out.targets.size() - (host.targets.empty() ? 0 : static_cast<size_t>(tokens.slots));
    append(out.ids, host.ids), append(out.segments, host.segments), append(out.types, host.types), append(out.targets, host.targets);
    if (first && tokens.slots > 0 && !host.targets.empty()) {
      std::swap(out.targets[row_begin], out.targets[row_begin + static_cast<size_t>(tokens.slots)]);
      if (!out.values.empty()) std::swap(out.values[row_begin], out.values[row_begin + static_cast<size_t>(tokens.slots)]);
    }
    for (int64_t t = 0; t < host.columns; ++t) out.positions.push_back(host.positions[begin + static_cast<size_t>(t)] + tokens.count());
  }
  out.token_count += host.rows * tokens.slots;
  return out;
}

Batch mixed(std::vector<Batch> parts) {
  check(!parts.empty(), "a mixed batch of nothing");
  int64_t columns = 0;
  bool typed = false;
  for (const Batch& part : parts) columns = std::max(columns, part.ids.size(1)), typed = typed || part.types.defined();
  std::vector<Tensor> ids, positions, segments, types;
  for (Batch& part : parts) {
    part.ids = padded(part.ids, columns, 0), part.segments = padded(part.segments, columns, -1);
    part.positions = padded_positions(part.positions, columns);
    if (typed) part.types = part.types.defined() ? padded(part.types, columns, 0) : at::zeros_like(part.ids);
    ids.push_back(part.ids), positions.push_back(part.positions), segments.push_back(part.segments);
    if (typed) types.push_back(part.types);
  }
  Batch whole;
  whole.ids = at::cat(ids), whole.positions = at::cat(positions), whole.segments = at::cat(segments);
  if (typed) whole.types = at::cat(types);
  whole.training = parts.front().training;
  whole.parts = std::make_shared<const std::vector<Batch>>(std::move(parts));
  return whole;
}

Tensor text_lengths(const Tensor& segments, const Tensor& positions) {
  const Tensor row = at::arange(segments.size(0), segments.options()).unsqueeze(1);
  const Tensor text = std::get<1>(at::_unique(segments * segments.size(0) + row, /*sorted=*/true, /*return_inverse=*/true)).flatten();
  const Tensor last = at::zeros_like(text).scatter_reduce(0, text, positions.flatten(), "amax");
  return last.index_select(0, text).view(positions.sizes()) + 1;
}

Batch tokens_of(const Batch& batch, const Tensor& indices) {
  check(!batch.parts, "tokens of a mixed batch: take its parts one by one");
  const auto pick = [&](const Tensor& x) { return x.defined() ? x.flatten().index_select(0, indices).unsqueeze(1) : Tensor(); };
  Batch chosen = batch;
  chosen.ids = pick(batch.ids), chosen.positions = pick(batch.positions), chosen.segments = pick(batch.segments), chosen.types = pick(batch.types);
  chosen.mask = {}, chosen.rotation = {};
  return chosen;
}

}  // namespace graft
