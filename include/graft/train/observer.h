#pragma once
// What a run tells whoever watches it. The library prints nothing itself.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace graft {

struct StepReport {
  std::string adapter;                     // whose step; empty: there is but one
  int64_t step = 0, total_steps = 0;       // steps done, this one counted
  double epoch = 0;
  double loss = 0;                         // mean over the step's target tokens
  double gradient_norm = 0, learning_rate = 0;
  double gradient_z = 0;                   // standard deviations of the norm above its usual (guard.h)
  bool skipped = false;                    // the step was not finite
  int64_t skipped_total = 0;
  int64_t tokens = 0, targets = 0;         // of this step: real tokens, and those learnt
  double seconds = 0;                      // of this step
  double data_wait = 0;                    // the share of them that it waited for its data
  int64_t memory = 0;                      // peak bytes: the allocator's on a GPU, resident on a CPU
  std::vector<std::string> samples;        // file:line of each, of a step that was skipped or is a spike
};

struct EvalReport {
  std::string adapter;                     // as a step's
  int64_t step = 0;
  double loss = 0, perplexity = 0, token_accuracy = 0;
  int64_t samples = 0, targets = 0;
  double label_accuracy = -1;              // -1: the data has no labels
  int64_t labels = 0;
  std::map<std::string, double> metrics;   // of a classifier or a regression: accuracy, f1 ... (metrics.h)
  bool best = false;
  double seconds = 0;
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_step(const StepReport&) {}
  virtual void on_eval(const EvalReport&) {}
  virtual void on_checkpoint(int64_t step, const std::filesystem::path& folder) {}
};

}  // namespace graft
