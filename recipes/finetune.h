#pragma once
// The main verbs: a run from a job, and a run gone on with.
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/train/observer.h"
#include "jobs.h"

namespace graft {

struct StartOptions {
  bool resume_or_start = false;   // the same command after a requeue: goes on if there is a checkpoint
  bool overwrite = false;         // removes what is there
  bool allow_change = false;      // goes on although options changed
};

/// Trains to the end. The run's folder then holds job.yaml, metrics.jsonl, checkpoints/ and adapter/ (PEFT's format); of several adapters,
/// job.yaml and such a folder for each.
void finetune(const Jobs& jobs, const StartOptions& start, Observer& observer, const Log& log, std::stop_token stop);

/// Goes on from the last complete checkpoint, of several adapters from each one's. `overrides` may extend the run (train.epochs, train.max_steps) and change what does not
/// touch the result; anything else needs allow_change.
void resume(const std::filesystem::path& run, const std::vector<std::string>& overrides, const StartOptions& start, Observer& observer,
            const Log& log, std::stop_token stop);

}  // namespace graft
