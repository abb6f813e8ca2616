#include "sample_lengths.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "graft/core/runtime.h"
#include "graft/data/batches.h"
#include "session.h"

namespace graft {
namespace {

/// Tokens of the longest samples, rounded up.
int64_t mean_of_longest(const Dataset& data, int64_t samples) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < data.size(); ++i) lengths.push_back(data.length(i));
  const int64_t count = std::min(samples, data.size());
  std::ranges::nth_element(lengths, lengths.begin() + count - 1, std::greater());
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.begin() + count, int64_t{0});
  return (tokens + count - 1) / count;
}

}  // namespace

SampleLengths lengths_of(const Job& job, const Transformer& outline, const Dataset& data, at::Device device) {
  if (job.data.packing) return {job.data.max_length};
  SampleLengths lengths{longest_sample(data)};
  const bool as_alone = make_method(job.adapter)->dropout() == 0 && virtual_tokens_of(job.adapter) == 0 && !job.train.share_rows;
  if (as_alone && outline.shares_beginnings(device, dtype_from_name(job.train.dtype, device), lengths.longest))
    lengths.shared = shared_beginning(data, job.train.micro_batch_size);
  if (lengths.shared > 0) lengths.longest = mean_of_longest(data, job.train.micro_batch_size);
  return lengths;
}

StepShape shape_of(const Job& job, const SampleLengths& lengths, at::Device device) {
  return {.rows = job.train.micro_batch_size,
          .columns = lengths.longest,
          .shared = lengths.shared,
          .dtype = dtype_from_name(job.train.dtype, device),
          .on_cpu = device.is_cpu(),
          .packed = job.data.packing,
          .fp8 = job.train.dtype == "fp8",
          .fp8_outer_layers = job.train.fp8_outer_layers,
          .moments_in_8_bits = job.train.optimizer == "adamw_8bit",
          .recompute = job.train.recompute_mode()};
}

}  // namespace graft
