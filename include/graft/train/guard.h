#pragma once
// What looks after a run that no one watches: a step whose gradient stands out is named with its samples, and values that are not
// finite never become a checkpoint.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"
#include "graft/core/log.h"
#include "graft/core/tensor.h"
#include "graft/data/batches.h"
#include "graft/train/observer.h"

namespace graft {

/// The gradient norm's mean and variance, over about the last 20 steps. Part of a run's state: a run that goes on judges as it
/// would have.
struct NormWatch {
  double mean = 0, variance = 0;
  int64_t seen = 0;
  /// How many standard deviations a norm lies above the mean of those before (0 while they are few); then counts it in.
  double add(double norm);
  Json to_json() const { return {{"mean", mean}, {"variance", variance}, {"seen", seen}}; }
  static NormWatch from_json(const Json& json) {
    return {json.at("mean").get<double>(), json.at("variance").get<double>(), json.at("seen").get<int64_t>()};
  }
};

/// A z-score from which on a step is a spike.
inline constexpr double spike_z = 6;

/// Fills in gradient_z, and the samples of a step that was skipped or is a spike.
void judge_step(NormWatch& norms, std::span<const int64_t> samples, const Dataset& data, StepReport& report);
/// A warning for a spike or a loss that is not finite; nothing for other steps (a loss scale that was too high is no fault of the
/// samples).
void name_spike(const StepReport& report, const Log& log);

/// "a.jsonl:3, 17, 8, b.jsonl:2": of origins (file:line), the file is said once; behind the first `most`, their count alone.
std::string origins_text(const std::vector<std::string>& origins, size_t most);

/// An Error that names the first tensor with a value that is not finite, and the last good checkpoint.
void check_finite(const TensorMap& values, std::string_view whose, int64_t step, std::string_view last_good);

}  // namespace graft
