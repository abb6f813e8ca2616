#pragma once
// metrics.jsonl: a line a step and a line an evaluation, appended as they come. docs/watching.md says what stands in them.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "graft/core/json.h"
#include "graft/core/log.h"
#include "graft/io/append_file.h"
#include "graft/train/observer.h"

namespace graft {

/// What an evaluation measured: the loss, then what its task has of perplexity, accuracies and metrics.
std::vector<std::pair<std::string, double>> eval_numbers(const EvalReport& report);

Json step_line(const StepReport& report);
Json eval_line(const EvalReport& report);

/// Whether a step is among those written down: every so many, and each that is out of the ordinary.
bool worth_a_line(const StepReport& report, int64_t every);

/// Writes metrics.jsonl and passes everything on to the next observer.
class MetricsWriter : public Observer {
 public:
  MetricsWriter(const std::filesystem::path& file, int64_t every, Observer& next, Log log = {});
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override;

 private:
  AppendFile out_;
  int64_t every_;
  Observer& next_;
};

/// The lines of a JSONL file that are whole: the last one may be cut by a kill. None if there is no file.
std::vector<Json> whole_lines(const std::filesystem::path& file);

/// Takes lines of steps after `step` off the file (a run that goes on from there writes them again).
void cut_lines(const std::filesystem::path& file, int64_t step);

}  // namespace graft
