#pragma once
// A run from its jobs to its files: one adapter, or several over one base.
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/train/checkpoint.h"
#include "graft/train/observer.h"
#include "job.h"

namespace graft {

struct RunPart {
  std::string name;                       // under which the adapter is seated
  Job job;                                // checked and resolved; its output_dir is the adapter's own folder
  std::optional<Checkpoint> checkpoint;   // where it goes on; none: fresh
};

/// Trains to the end. Each output_dir then holds job.yaml, metrics.jsonl, checkpoints/ and adapter/. The parts agree on model, quantization,
/// device, train.dtype and train.recompute (read_jobs sees to it).
void run_jobs(std::vector<RunPart> parts, bool allow_change, Observer& observer, const Log& log, std::stop_token stop);

}  // namespace graft
