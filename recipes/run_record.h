#pragma once
// All that a run leaves to be looked at: metrics.jsonl, tensorboard/, samples.jsonl, data.json, sessions.jsonl and, at its end,
// report.html.
#include "graft/report/metrics.h"
#include "graft/report/tensorboard.h"
#include "sample_answers.h"

namespace graft {

/// Removes all that a run writes from its folder, and nothing else.
void remove_run(const std::filesystem::path& run);

class RunRecord {
 public:
  struct Setup {
    Transformer& model;
    std::string adapter;
    const Base& base;
    const Job& job;
    const PreparedData& data;
    std::vector<SamplePrompt> prompts;
    Json facts;        // what the session computes with
    int64_t step = 0;  // done before it
    int64_t total_steps = 0;
    const Log& log;
    std::stop_token stop;
  };
  /// Writes down what the run begins with; drops what an earlier session wrote of steps that are to be taken again.
  RunRecord(const Setup& setup, Observer& next);
  /// Whom the trainer tells.
  Observer& observer() { return metrics_; }
  /// After the last step: says so, and writes the page.
  void finish(int64_t step);

 private:
  std::filesystem::path run_;
  const Log& log_;
  SampleAnswers samples_;
  TensorBoardWriter events_;
  MetricsWriter metrics_;
};

}  // namespace graft
