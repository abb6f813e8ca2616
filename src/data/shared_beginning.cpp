#include <algorithm>

#include "graft/data/batches.h"

namespace graft {
namespace {

constexpr int64_t fewest = 8;
constexpr double least_saved = 0.1;   // of the tokens of an average micro-batch

/// Of so many tokens that samples are known to share, those that this one does, too, and learns nothing of.
int64_t shared_with(const SampleView& first, const SampleView& sample, int64_t known) {
  const auto most = static_cast<size_t>(known);
  const auto ids = sample.ids.first(std::min(most, sample.ids.size() - 1));
  const auto learn_next = sample.learn.subspan(1);
  const auto same = std::ranges::mismatch(ids, first.ids).in1 - ids.begin();
  const auto unlearnt = std::ranges::find_if(learn_next, [](uint8_t learnt) { return learnt != 0; }) - learn_next.begin();
  return std::min<int64_t>(same, unlearnt);
}

double mean_length(const Dataset& dataset) {
  int64_t tokens = 0;
  for (const SourceReport& source : dataset.reports()) tokens += source.tokens;
  return static_cast<double>(tokens) / static_cast<double>(dataset.size());
}

}  // namespace

int64_t longest_sample(const Dataset& dataset) {
  int64_t longest = 0;
  for (const SourceReport& source : dataset.reports()) longest = std::max(longest, source.length_max);
  return longest;
}

int64_t shared_beginning(const Dataset& dataset, int64_t micro_batch_size) {
  if (micro_batch_size < 2 || dataset.size() < 2 || dataset.task().kind != TaskKind::causal_lm) return 0;
  const SampleView first = dataset.sample(0);
  int64_t shared = dataset.length(0);
  for (int64_t i = 0; i < dataset.size() && shared >= fewest; ++i) shared = shared_with(first, dataset.sample(i), shared);
  const auto samples = static_cast<double>(micro_batch_size);
  const bool saves = static_cast<double>(shared) * (samples - 1) >= least_saved * samples * mean_length(dataset);
  return shared >= fewest && saves ? shared : 0;
}

}  // namespace graft
