#include "graft/nn/batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/ops/staged.h"

namespace graft {
namespace {

static_assert(shared_segment == everyone);

Tensor padded(const Tensor& x, int64_t columns, int64_t value) { return at::constant_pad_nd(x, {0, columns - x.size(1)}, value); }

/// Positions go on counting in padding.
Tensor padded_positions(const Tensor& x, int64_t columns) {
  if (columns == x.size(1)) return x;
  const Tensor more = at::arange(1, columns - x.size(1) + 1, x.options());
  return at::cat({x, x.slice(1, -1) + more}, 1);
}

/// A token of a row, or a slot in front of the sample that begins at `column`.
struct Place {
  int64_t column, slot = -1;
  bool is_slot() const { return slot >= 0; }
};

/// A row up to its padding, with slots in front of each sample.
std::vector<Place> places(const HostBatch& host, int64_t row, int64_t slots) {
  const int64_t* segments = host.segments.data() + row * host.columns;
  std::vector<Place> all;
  for (int64_t t = 0; t < host.columns && (t == 0 || segments[t] >= 0); ++t) {
    if (t == 0 || segments[t] != segments[t - 1])
      for (int64_t slot = 0; slot < slots; ++slot) all.push_back({t, slot});
    all.push_back({t});
  }
  return all;
}

}  // namespace

Batch to_batch(const HostBatch& host, at::Device device) {
  const auto tensor = [&](const std::vector<int64_t>& values) {
    void* data = const_cast<int64_t*>(values.data());
    return staged(at::from_blob(data, {host.rows, host.columns}, at::kLong), device).to(device, /*non_blocking=*/true);
  };
  Batch batch;
  batch.ids = tensor(host.ids);
  batch.positions = tensor(host.positions);
  batch.segments = tensor(host.segments);
  if (!host.types.empty()) batch.types = tensor(host.types);
  batch.packed = host.packed;
  if (host.packed) {
    const TextPlaces places = text_places(host);
    const auto placed = [&](const std::vector<int32_t>& values) { return staged(at::tensor(values, at::kInt), device).to(device, /*non_blocking=*/true); };
    batch.texts = {placed(places.starts), places.longest, device.is_cuda() ? placed(places.bounds()).view({-1, 2}) : Tensor(), host.shared};
  }
  return batch;
}

kernels::DropoutKey dropout_key(const Batch& batch, uint32_t site) {
  return {batch.seed, site, static_cast<uint32_t>(batch.step), batch.step_at.defined() ? batch.step_at.const_data_ptr<int64_t>() : nullptr};
}

int64_t in_few_sizes(int64_t size) {
  int64_t step = 8;
  while (step * 16 < size) step *= 2;
  return (size + step - 1) / step * step;
}

std::vector<int32_t> TextPlaces::bounds() const {
  std::vector<int32_t> of_tokens;
  of_tokens.reserve(2 * static_cast<size_t>(starts.back()));
  for (size_t i = 1; i < starts.size(); ++i) {
    const int32_t begin = starts[i - 1];
    const bool is_shared = shared > 0 && begin % columns == 0;
    const int32_t end = is_shared ? begin + static_cast<int32_t>(columns) : starts[i];
    for (int32_t t = begin; t < starts[i]; ++t) of_tokens.push_back(begin), of_tokens.push_back(end);
  }
  return of_tokens;
}

TextPlaces text_places(const HostBatch& host) {
  TextPlaces places{.columns = host.columns, .shared = host.shared};
  const int64_t tokens = host.rows * host.columns;
  const int64_t* segments = host.segments.data();
  for (int64_t t = 0; t < tokens; ++t)
    if (t % host.columns == 0 || segments[t] != segments[t - 1]) places.starts.push_back(static_cast<int32_t>(t));
  places.starts.push_back(static_cast<int32_t>(tokens));
  for (size_t i = 1; i < places.starts.size(); ++i) places.longest = std::max<int64_t>(places.longest, places.starts[i] - places.starts[i - 1]);
  constexpr int64_t tile = 128;   // of queries that a block of a GPU takes: shorter texts cost it as much
  places.longest = std::min(in_few_sizes((places.longest + tile - 1) / tile * tile), host.columns);
  places.starts.resize(static_cast<size_t>(in_few_sizes(std::ssize(places.starts) - 1) + 1), static_cast<int32_t>(tokens));
  return places;
}

HostBatch with_virtual_tokens(const HostBatch& host, const VirtualTokens& tokens) {
  if (tokens.count() == 0) return host;
  HostBatch out = host;
  out.columns = 0;
  for (auto* list : {&out.ids, &out.positions, &out.segments, &out.types, &out.targets}) list->clear();
  out.values.clear();
  std::vector<std::vector<Place>> rows;
  for (int64_t row = 0; row < host.rows; ++row) {
    rows.push_back(places(host, row, tokens.slots));
    out.columns = std::max(out.columns, std::ssize(rows.back()));
    out.token_count += std::ranges::count_if(rows.back(), &Place::is_slot);
  }
  // A text's label stays at the row's first column, whatever lies there.
  const bool label_first = host.pooling == Pooling::cls || host.pooling == Pooling::mean;
  for (size_t row = 0; row < rows.size(); ++row) {
    const size_t from = row * static_cast<size_t>(host.columns), begin = row * static_cast<size_t>(out.columns), end = begin + static_cast<size_t>(out.columns);
    for (const Place& place : rows[row]) {
      const size_t at = from + static_cast<size_t>(place.column);
      const bool slot = place.is_slot();
      out.ids.push_back(slot ? -1 - place.slot : host.ids[at]);
      out.positions.push_back(slot ? tokens.prefix + place.slot : host.positions[at] + tokens.count());
      out.segments.push_back(host.segments[at]);
      if (!host.types.empty()) out.types.push_back(slot ? 0 : host.types[at]);
      if (!host.targets.empty()) out.targets.push_back(slot ? -100 : host.targets[at]);
      if (!host.values.empty()) out.values.push_back(slot ? 0 : host.values[at]);
    }
    const size_t first_token = begin + static_cast<size_t>(tokens.slots);
    if (label_first && !host.targets.empty()) std::swap(out.targets[begin], out.targets[first_token]);
    if (label_first && !host.values.empty()) std::swap(out.values[begin], out.values[first_token]);
    while (out.positions.size() < end) out.positions.push_back(out.positions.back() + 1);
    out.ids.resize(end, 0), out.segments.resize(end, -1);
    if (!host.types.empty()) out.types.resize(end, 0);
    if (!host.targets.empty()) out.targets.resize(end, -100);
    if (!host.values.empty()) out.values.resize(end, 0);
  }
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
  whole.packed = std::ranges::any_of(parts, &Batch::packed);   // its texts are told by segments alone
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
  chosen.mask = {}, chosen.rotation = {}, chosen.texts = {};
  return chosen;
}

}  // namespace graft
