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
  std::vector<SampleView> views;
  for (const int64_t sample : samples) views.push_back(dataset.sample(sample));
  HostBatch batch = make_batch(views, dataset.task(), first_segment);
  batch.samples.assign(samples.begin(), samples.end());
  return batch;
}

}  // namespace graft
