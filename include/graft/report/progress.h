#pragma once
// A run as it goes by: a line rewritten in place on a terminal, plain lines elsewhere, or JSON for other programs.
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include "graft/train/observer.h"

namespace graft {

/// Writes and flushes. A pipe or a terminal that is gone is no reason to lose a run: what cannot be shown is dropped.
void show(std::FILE* out, std::string_view text);

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
  /// An adapter's steps so far; of several in one run each has its own.
  struct Course {
    double tokens_per_second = 0, loss = 0;
    int64_t seen = 0, first_step = 0;
    std::chrono::steady_clock::time_point began{};
  };
  static double seconds_left(Course& course, const StepReport& report);

  std::FILE* out_;
  bool terminal_;
  double plain_seconds_;
  bool line_open_ = false;
  std::map<std::string, Course> courses_;
  std::chrono::steady_clock::time_point last_{};
};

/// {"event": "step" | "eval" | "checkpoint", ...}, one object a line; steps and evaluations as in metrics.jsonl.
class JsonLines : public Observer {
 public:
  explicit JsonLines(std::FILE* out) : out_(out) {}
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override;

 private:
  std::FILE* out_;
};

}  // namespace graft
