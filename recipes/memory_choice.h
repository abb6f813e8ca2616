#pragma once
// train.recompute and train.graphs where they are `auto`: as much is kept, and replayed, as the device's free memory has room for.
#include <string>
#include <vector>

#include "graft/models/plan.h"
#include "graft/train/options.h"

namespace graft {

/// A micro-batch of one adapter, and what lies beside it: the other adapters of the run.
struct PlannedPass {
  const StepPlanner& planner;
  StepShape shape;
  int64_t beside = 0;
};

struct MemoryChoice {
  std::string recompute, graphs;   // as train's keys have them
  int64_t bytes = 0;               // that it takes by the plan, with the graphs' pool
  bool fits = false;
  std::string why;
};

/// The first way to recompute, of those that train.recompute leaves, that fits in nine tenths of what is free: graphs are let go before more is
/// computed again. Where none fits, the one that takes least.
MemoryChoice choose_for_memory(const TrainOptions& asked, const std::vector<PlannedPass>& passes, int64_t free);

/// What the graphs of such steps hold for themselves, beside what a step without them takes: all that lives within a pass. 0: none are made.
int64_t graphs_pool(const StepPlan& plan, const StepShape& shape);

/// "5.85 GiB".
std::string memory_text(int64_t bytes);

}  // namespace graft
