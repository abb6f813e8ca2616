// Samples side by side, padded on the right.
#include <algorithm>
#include <bit>
#include <numeric>

#include "graft/data/batches.h"

namespace graft {

namespace {

/// What is learnt of a row that begins at `begin` of the batch's arrays.
void put_next_tokens(HostBatch& batch, const SampleView& sample, size_t begin) {
  for (size_t t = 0; t + 1 < sample.ids.size(); ++t) {
    if (!sample.learn[t + 1]) continue;
    batch.targets[begin + t] = sample.ids[t + 1];
    ++batch.target_count;
  }
}

/// A label a token stands at its token; a text's at the row's first column, or at its last token where that one speaks for it.
void put_labels(HostBatch& batch, const SampleView& sample, const Task& task, size_t begin) {
  const size_t first = task.labels_texts() && task.pooling == Pooling::last ? sample.ids.size() - 1 : 0;
  for (size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] == no_label) continue;
    const bool is_value = task.kind == TaskKind::regression;
    batch.targets[begin + first + i] = is_value ? 0 : sample.labels[i];
    if (is_value) batch.values[begin + first + i] = std::bit_cast<float>(sample.labels[i]);
    ++batch.target_count;
  }
}

void put_types(HostBatch& batch, const SampleView& sample, size_t begin) {
  if (std::ranges::count(sample.types, 0) == std::ssize(sample.types)) return;
  if (batch.types.empty()) batch.types.assign(batch.ids.size(), 0);
  std::ranges::copy(sample.types, batch.types.begin() + static_cast<std::ptrdiff_t>(begin));
}

}  // namespace

HostBatch make_packed_batch(std::span<const std::vector<SampleView>> rows, int64_t first_segment, int64_t shared) {
  HostBatch batch;
  batch.packed = true;
  batch.shared = shared;
  batch.rows = std::ssize(rows);
  for (const auto& row : rows) {
    int64_t length = shared;
    for (const SampleView& sample : row) length += std::ssize(sample.ids) - shared;
    batch.columns = std::max(batch.columns, length);
  }
  const auto beginning = static_cast<size_t>(shared);
  for (const auto& row : rows) {
    const auto put = [&](std::span<const int32_t> ids, int64_t position, int64_t segment) {
      for (const int32_t id : ids) batch.ids.push_back(id), batch.positions.push_back(position++), batch.segments.push_back(segment);
      batch.targets.resize(batch.ids.size(), -100);
    };
    put(row.front().ids.first(beginning), 0, shared_segment);
    for (const SampleView& sample : row) {
      const size_t begin = batch.ids.size();
      const SampleView rest{sample.ids.subspan(beginning), sample.learn.subspan(beginning)};
      put(rest.ids, shared, first_segment++);
      put_next_tokens(batch, rest, begin);
      batch.token_count += std::ssize(sample.ids);
    }
    const auto end = static_cast<size_t>((&row - rows.data() + 1) * batch.columns);
    batch.ids.resize(end, 0), batch.segments.resize(end, padding_segment), batch.targets.resize(end, -100);
    while (batch.positions.size() < end) batch.positions.push_back(batch.positions.back() + 1);
  }
  return batch;
}

HostBatch make_batch(std::span<const SampleView> samples, const Task& task, int64_t first_segment) {
  HostBatch batch;
  batch.rows = std::ssize(samples);
  for (const SampleView& sample : samples) batch.columns = std::max(batch.columns, std::ssize(sample.ids));
  const auto columns = static_cast<size_t>(batch.columns), size = samples.size() * columns;
  batch.ids.assign(size, 0);
  batch.positions.resize(size);
  batch.segments.assign(size, padding_segment);
  batch.targets.assign(size, -100);
  if (task.labels_texts()) batch.pooling = task.pooling;
  if (task.kind == TaskKind::regression) batch.values.assign(size, 0);
  for (size_t row = 0; row < samples.size(); ++row) {
    const size_t begin = row * columns;
    const auto at = static_cast<std::ptrdiff_t>(begin);
    const SampleView& sample = samples[row];
    std::iota(batch.positions.begin() + at, batch.positions.begin() + at + batch.columns, int64_t{0});
    std::ranges::copy(sample.ids, batch.ids.begin() + at);
    std::fill_n(batch.segments.begin() + at, sample.ids.size(), first_segment + static_cast<int64_t>(row));
    if (task.kind == TaskKind::causal_lm)
      put_next_tokens(batch, sample, begin);
    else
      put_labels(batch, sample, task, begin), put_types(batch, sample, begin);
    batch.token_count += std::ssize(sample.ids);
  }
  return batch;
}

}  // namespace graft
