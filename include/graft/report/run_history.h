#pragma once
// A run's folder as numbers and texts to show. What is not there yet, or was cut off by a kill, is simply not there.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "graft/core/json.h"

namespace graft {

/// A number by step; NaN where it was none.
struct Curve {
  std::vector<double> steps, values;
  void add(double step, double value) { steps.push_back(step), values.push_back(value); }
  bool empty() const { return steps.empty(); }
  /// The last one that is finite; NaN if none is.
  double last() const;
};

struct RunHistory {
  std::string name;                       // the folder
  std::string model, method;              // for the page's head; from the job
  std::string job;                        // job.yaml
  std::map<std::string, Curve> training;  // loss, learning_rate, gradient_norm, tokens_per_second, memory (bytes)
  std::map<std::string, Curve> held_out;  // loss, then what the task has: accuracy, f1 ...
  std::vector<Json> spikes;               // lines of metrics.jsonl that name their samples
  std::vector<Json> samples;              // lines of samples.jsonl
  std::vector<Json> sessions;             // starts and ends, lines of sessions.jsonl
  Json data;                              // data.json; null if there is none
  double tokens = 0, seconds = 0;         // of all steps; as the logged ones tell
  int64_t skipped = 0;

  int64_t last_step() const;
  int64_t total_steps() const;  // that the latest session was asked for
  bool finished() const;
};

/// RequestError: no run's folder.
RunHistory read_run_history(const std::filesystem::path& run);

}  // namespace graft
