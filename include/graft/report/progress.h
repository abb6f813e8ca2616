#pragma once
// The progress line: rewritten in place on a terminal, plain lines elsewhere.
#include <chrono>
#include <cstdio>

#include "graft/train/observer.h"

namespace graft {

class ProgressLine : public Observer {
 public:
  /// `out` is a terminal or not; plain lines come at most every `plain_seconds`.
  explicit ProgressLine(std::FILE* out, double plain_seconds = 5);
  ~ProgressLine() override;
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override;
  /// Ends the line in place, so that another message can be printed.
  void clear();

 private:
  std::FILE* out_;
  bool terminal_;
  double plain_seconds_;
  bool line_open_ = false;
  double tokens_per_second_ = 0, step_seconds_ = 0, loss_ = 0;
  int64_t seen_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace graft
