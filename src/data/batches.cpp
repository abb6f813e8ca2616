#include "graft/data/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "order.h"

namespace graft {

namespace {

int64_t step_size(const BatchOptions& options) { return options.micro_batch_size * options.gradient_accumulation_steps; }

template <class Samples>
void sort_by_length(Samples&& samples, const Dataset& dataset) {
  std::ranges::stable_sort(samples, {}, [&](int64_t sample) { return dataset.length(sample); });
}

}  // namespace

Batches::Batches(Dataset dataset, BatchOptions options) : dataset_(std::move(dataset)), options_(options) {
  require(options_.micro_batch_size > 0 && options_.gradient_accumulation_steps > 0,
          "micro_batch_size {} and gradient_accumulation_steps {} must be at least 1", options_.micro_batch_size,
          options_.gradient_accumulation_steps);
  require(dataset_.size() > 0, "0 samples to make batches of");
}

int64_t Batches::samples_per_epoch() const {
  int64_t samples = 0;
  for (const SourceReport& source : dataset_.reports()) samples += repeated_count(source.samples, source.repeat);
  return samples;
}

int64_t Batches::steps_per_epoch() const { return (samples_per_epoch() + step_size(options_) - 1) / step_size(options_); }

const DataCursor& Batches::cursor() const { return cursor_; }

void Batches::seek(const DataCursor& cursor) {
  require(cursor.epoch >= 0 && cursor.step_in_epoch >= 0 && cursor.step_in_epoch < steps_per_epoch(),
          "the data has no step {} of epoch {}: an epoch has {} steps", cursor.step_in_epoch, cursor.epoch, steps_per_epoch());
  cursor_ = cursor;
}

void Batches::order_epoch() {
  if (ordered_epoch_ == cursor_.epoch) return;
  const auto epoch = static_cast<uint64_t>(cursor_.epoch);
  std::vector<int64_t> order;
  int64_t first = 0;
  for (const SourceReport& source : dataset_.reports()) {
    append_repeated(order, first, source.samples, source.repeat, options_.seed, epoch);
    first += source.samples;
  }
  steps_ = options_.shuffle ? shuffled_steps(std::move(order), dataset_, step_size(options_), options_.seed, epoch)
                            : cut(order, step_size(options_));
  for (auto& step : steps_) sort_by_length(step, dataset_);
  ordered_epoch_ = cursor_.epoch;
}

std::vector<HostBatch> Batches::next() {
  order_epoch();
  const auto index = static_cast<size_t>(cursor_.step_in_epoch);
  // Every step before this one is full.
  int64_t segment = cursor_.epoch * samples_per_epoch() + cursor_.step_in_epoch * step_size(options_);
  std::vector<HostBatch> batches;
  for (const auto& rows : cut(steps_[index], options_.micro_batch_size)) {
    batches.push_back(make_batch(dataset_, rows, segment));
    segment += static_cast<int64_t>(rows.size());
  }
  if (++cursor_.step_in_epoch == steps_per_epoch()) cursor_ = {cursor_.epoch + 1, 0};
  return batches;
}

std::vector<std::vector<int64_t>> evaluation_batches(const Dataset& dataset, int64_t rows) {
  require(rows > 0, "evaluation needs at least 1 row a batch, not {}", rows);
  std::vector<int64_t> order(static_cast<size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  sort_by_length(order, dataset);
  return cut(order, rows);
}

HostBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t first_segment) {
  HostBatch batch;
  batch.rows = static_cast<int64_t>(samples.size());
  for (const int64_t sample : samples) batch.columns = std::max(batch.columns, dataset.length(sample));
  const auto columns = static_cast<size_t>(batch.columns), size = samples.size() * columns;
  batch.ids.assign(size, 0);
  batch.positions.resize(size);
  batch.segments.assign(size, -1);
  batch.targets.assign(size, -100);
  batch.samples.assign(samples.begin(), samples.end());
  for (size_t row = 0; row < samples.size(); ++row) {
    const size_t begin = row * columns;
    const SampleView sample = dataset.sample(samples[row]);
    const size_t length = sample.ids.size();
    std::iota(batch.positions.begin() + begin, batch.positions.begin() + begin + columns, int64_t{0});
    std::ranges::copy(sample.ids, batch.ids.begin() + begin);
    std::fill_n(batch.segments.begin() + begin, length, first_segment + static_cast<int64_t>(row));
    for (size_t t = 0; t + 1 < length; ++t) {
      if (!sample.learn[t + 1]) continue;
      batch.targets[begin + t] = sample.ids[t + 1];
      ++batch.target_count;
    }
    batch.token_count += static_cast<int64_t>(length);
  }
  return batch;
}

}  // namespace graft
