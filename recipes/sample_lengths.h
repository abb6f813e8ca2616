#pragma once
// How long a job's samples are, and so the micro-batch that a step is planned for.
#include "graft/data/dataset.h"
#include "graft/models/plan.h"
#include "job.h"

namespace graft {

/// Tokens of a job's samples as training lays them out, without virtual ones.
struct SampleLengths {
  int64_t longest = 0;   // of a row: the longest sample's, or packed ones'; of samples that share their beginning, what a micro-batch's longest have on average
  int64_t shared = 0;    // that all samples begin with and a micro-batch holds once (data/batches.h); 0 where the model or the adapter cannot have it so
};
SampleLengths lengths_of(const Job& job, const Transformer& outline, const Dataset& data, at::Device device);

/// A job's micro-batch. train.recompute is to be chosen where it is `auto`.
StepShape shape_of(const Job& job, const SampleLengths& lengths, at::Device device);

}  // namespace graft
