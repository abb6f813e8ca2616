#pragma once
// graft plan: what a job will take, before any weight is read.
#include <optional>
#include <stop_token>
#include <string>

#include "graft/core/log.h"
#include "graft/models/plan.h"
#include "jobs.h"

namespace graft {

struct PlanRequest {
  std::optional<int64_t> tokens;  // of the whole run: the data is not looked at, and every sample counts as data.max_length long
  std::optional<double> tflops;   // what the device sustains; default: default_tflops
  bool gpu = false;               // as on a GPU, whether there is one here or not
};

/// TFLOP/s that training was measured to sustain on one such device (docs/plan.md), for an estimate of time.
double default_tflops(bool on_cpu);

/// Memory by kind, FLOPs, steps and time, micro-batch against recompute, and other cards. model.path may be a config.json alone.
std::string plan_text(const Jobs& jobs, const PlanRequest& request, const Log& log, std::stop_token stop = {});

}  // namespace graft
