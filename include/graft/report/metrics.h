#pragma once
// metrics.jsonl: a line a step and a line an evaluation, appended as they come.
#include <filesystem>
#include <fstream>

#include "graft/train/observer.h"

namespace graft {

/// Writes metrics.jsonl and passes everything on to the next observer.
class MetricsWriter : public Observer {
 public:
  MetricsWriter(const std::filesystem::path& file, int64_t every, Observer& next);
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override;

 private:
  std::ofstream out_;
  int64_t every_;
  Observer& next_;
};

/// Takes lines of steps after `step` off the file (a run that goes on from there writes them again).
void cut_metrics(const std::filesystem::path& file, int64_t step);

}  // namespace graft
