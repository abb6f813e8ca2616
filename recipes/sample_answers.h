#pragma once
// eval.prompts: what the model says to the same prompts before, during and after training. Greedy, and apart from all that
// training counts.
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/io/append_file.h"
#include "graft/nn/transformer.h"
#include "graft/train/observer.h"
#include "session.h"

namespace graft {

struct SamplePrompt {
  std::string text;
  std::vector<int32_t> ids;  // as the user's turn, behind data.system
};
/// The job's, a line each (empty lines are passed over); none if it names no file. RequestErrors: no such file, no prompt in it,
/// more than a hundred, a task that writes no text.
std::vector<SamplePrompt> read_sample_prompts(const Job& job, const Base& base, const Task& task);

/// Passes everything on; at the steps where answers are due, adds lines to samples.jsonl: {"step", "prompt", "answer", "ended"}.
class SampleAnswers : public Observer {
 public:
  struct Setup {
    Transformer& model;
    std::string adapter;
    const Base& base;
    std::vector<SamplePrompt> prompts;
    EvalOptions options;
    std::filesystem::path file;
    const Log& log;
    std::stop_token stop;
  };
  SampleAnswers(Setup setup, Observer& next) : setup_(std::move(setup)), next_(next) {}
  /// Before the first step, or the first after a checkpoint: takes later lines off the file, and answers if it has not been done
  /// at `step`.
  void begin(int64_t step);
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override { next_.on_eval(report); }
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override { next_.on_checkpoint(step, folder); }

 private:
  bool due(int64_t step) const;
  void answer(int64_t step);
  std::string lines_of(size_t begin, size_t end, int64_t step);
  Setup setup_;
  Observer& next_;
  std::optional<AppendFile> out_;   // from begin() on, where there are prompts
};

}  // namespace graft
