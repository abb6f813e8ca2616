#pragma once
// graft bench: how fast a job trains on this device, against the floor of the same device in the same run.
#include <optional>
#include <stop_token>
#include <string>

#include "bench_subject.h"
#include "graft/core/json.h"

namespace graft {

struct BenchRequest {
  double seconds = 20;               // of steps, once they are warm
  bool floor = true;
  std::optional<BenchRows> rows{};   // instead of the job's data: full rows
  std::filesystem::path lengths{};   // ... or samples of these lengths
};

/// Trains by the trainer that `finetune` has, without a run's folder. One flat object: step_ms and its spread, tokens_per_second (real
/// tokens), floor_* and share_of_floor (of full rows), peak_*_gib and planned_gib.
Json bench(const Job& job, const BenchRequest& request, const Log& log, std::stop_token stop = {});

/// The same for people.
std::string bench_text(const Json& result);

}  // namespace graft
