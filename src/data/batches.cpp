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

/// 0, 1, 2 ...
std::vector<int64_t> numbers(int64_t count) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), int64_t{0});
  return all;
}

/// Each source's samples as often as it is repeated, in the order of the sources.
std::vector<int64_t> epoch_samples(const Dataset& dataset, uint64_t seed, uint64_t epoch) {
  std::vector<int64_t> order;
  int64_t first = 0;
  for (const SourceReport& source : dataset.reports()) {
    append_repeated(order, first, source.samples, source.repeat, seed, epoch);
    first += source.samples;
  }
  return order;
}

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
  if (options_.row_length > 0) pack();
}

void Batches::pack() {
  require(dataset_.task().kind == TaskKind::causal_lm, "data.packing: rows of several samples are for the next token, not for {}",
          name_of(dataset_.task().kind));
  rows_ = packed_rows(epoch_samples(dataset_, options_.seed, 0), dataset_, options_.row_length, options_.slots, options_.seed);
}

int64_t Batches::samples_per_epoch() const {
  int64_t samples = 0;
  for (const SourceReport& source : dataset_.reports()) samples += repeated_count(source.samples, source.repeat);
  return samples;
}

int64_t Batches::rows_per_epoch() const { return rows_.empty() ? samples_per_epoch() : std::ssize(rows_); }

int64_t Batches::steps_per_epoch() const { return (rows_per_epoch() + step_size(options_) - 1) / step_size(options_); }

const DataCursor& Batches::cursor() const { return cursor_; }

void Batches::seek(const DataCursor& cursor) {
  require(cursor.epoch >= 0 && cursor.step_in_epoch >= 0 && cursor.step_in_epoch < steps_per_epoch(),
          "the data has no step {} of epoch {}: an epoch has {} steps", cursor.step_in_epoch, cursor.epoch, steps_per_epoch());
  cursor_ = cursor;
}

void Batches::order_epoch() {
  if (ordered_epoch_ == cursor_.epoch) return;
  const auto epoch = static_cast<uint64_t>(cursor_.epoch);
  ordered_epoch_ = cursor_.epoch;
  if (!rows_.empty()) {
    steps_ = cut(options_.shuffle ? shuffled_rows(std::ssize(rows_), options_.seed, epoch) : numbers(std::ssize(rows_)), step_size(options_));
  } else {
    std::vector<int64_t> order = epoch_samples(dataset_, options_.seed, epoch);
    steps_ = options_.shuffle ? shuffled_steps(std::move(order), dataset_, step_size(options_), options_.seed, epoch)
                              : cut(order, step_size(options_));
    for (auto& step : steps_) sort_by_length(step, dataset_);
  }
  first_segments_.clear();
  int64_t samples = 0;
  for (const auto& step : steps_) {
    first_segments_.push_back(samples);
    for (const int64_t row : step) samples += rows_.empty() ? 1 : std::ssize(rows_[static_cast<size_t>(row)]);
  }
}

std::vector<HostBatch> Batches::next() {
  order_epoch();
  const auto index = static_cast<size_t>(cursor_.step_in_epoch);
  int64_t segment = cursor_.epoch * samples_per_epoch() + first_segments_[index];
  std::vector<HostBatch> batches;
  for (const auto& rows : cut(steps_[index], options_.micro_batch_size)) {
    batches.push_back(rows_.empty() ? make_batch(dataset_, rows, segment, options_.shared) : packed(rows, segment));
    segment += std::ssize(batches.back().samples);
  }
  if (++cursor_.step_in_epoch == steps_per_epoch()) cursor_ = {cursor_.epoch + 1, 0};
  return batches;
}

HostBatch Batches::packed(std::span<const int64_t> rows, int64_t first_segment) const {
  std::vector<std::vector<SampleView>> views;
  std::vector<int64_t> samples;
  for (const int64_t row : rows) {
    views.emplace_back();
    for (const int64_t sample : rows_[static_cast<size_t>(row)]) views.back().push_back(dataset_.sample(sample)), samples.push_back(sample);
  }
  HostBatch batch = make_packed_batch(views, first_segment);
  batch.samples = std::move(samples);
  return batch;
}

std::vector<std::vector<int64_t>> evaluation_batches(const Dataset& dataset, int64_t rows) {
  require(rows > 0, "evaluation needs at least 1 row a batch, not {}", rows);
  std::vector<int64_t> order = numbers(dataset.size());
  sort_by_length(order, dataset);
  return cut(order, rows);
}

HostBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t first_segment, int64_t shared) {
  std::vector<SampleView> views;
  for (const int64_t sample : samples) views.push_back(dataset.sample(sample));
  HostBatch batch = shared > 0 ? make_packed_batch({&views, 1}, first_segment, shared) : make_batch(views, dataset.task(), first_segment);
  batch.samples.assign(samples.begin(), samples.end());
  return batch;
}

}  // namespace graft
