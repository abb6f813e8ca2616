#pragma once
// The one loop: batches -> loss -> gradients -> AdamW, with everything that lets it go on exactly where it was.
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/data/batches_ahead.h"
#include "graft/nn/transformer.h"
#include "graft/peft/graft_adapter.h"
#include "graft/train/checkpoint_writer.h"
#include "graft/train/interval.h"
#include "graft/train/loss.h"
#include "graft/train/observer.h"
#include "graft/train/options.h"
#include "graft/train/read_back.h"
#include "graft/train/schedule.h"
#include "graft/train/step_graphs.h"

namespace graft {

/// The name of a run's adapter that has no other beside it.
inline constexpr const char* sole_adapter = "default";

struct TrainerSetup {
  Transformer& model;
  std::string adapter;                                          // the name it is seated under
  std::function<double(std::string_view parameter)> lr_scale;   // of a parameter, by name
  Dataset train;
  int64_t row_length = 0;                                       // data.packing: tokens that a row holds, virtual ones counted; 0: a row a sample
  int64_t shared = 0;                                           // tokens that all samples begin with and a micro-batch holds once (data/batches.h)
  TrainOptions options;
  double learning_rate = 0;
  EvalOptions eval;
  std::function<EvalReport()> evaluate;                         // empty: no held-out data
  CheckpointOptions checkpoint;
  std::filesystem::path run_folder;
  Json facts;                                                   // kept in checkpoints
  std::string job;                                              // the resolved job, kept in checkpoints
  Log log;
  /// A step's report may come when the next step is under way, so that nothing waits for the device. None is missing when a checkpoint, an
  /// evaluation or the end comes; fp16 cannot (its next step needs to know).
  bool late_reports = false;
};

/// Optimizer steps that the options ask for.
int64_t total_steps(const TrainOptions& options, int64_t steps_per_epoch);

class Trainer {
 public:
  explicit Trainer(TrainerSetup setup);
  /// Takes over a checkpoint's adapter, optimizer and state.
  void restore(const Checkpoint& checkpoint);
  /// Trains to the last step. On a stop request: finishes the step, writes a checkpoint, throws Stopped.
  void run(Observer& observer, std::stop_token stop = {});

  // The same, a step at a time, for several trainers over one model (together.h).
  bool done() const { return state_.step >= total_ || stopped_early_; }
  /// The next step's batches; the adapter's gradients are zeroed.
  Share next_share();
  /// Adds that share's gradients; returns its loss.
  Tensor backward(const Share& share);
  /// The step itself, with the gradients of that share and its loss; then what is due: evaluation, checkpoint.
  void take_step(const Share& share, const Tensor& loss, Observer& observer);
  /// Writes a checkpoint of this step, if there is none, and waits until it is on the disk.
  void save_now(Observer& observer);
  /// The same on the way out of a failure, which what fails here must not hide: a warning.
  void save_if_possible(Observer& observer);
  const std::string& adapter() const { return setup_.adapter; }
  Transformer& model() { return setup_.model; }
  /// Whether its passes may be captured as graphs.
  bool captures() const { return graphs_ && graphs_->replays(); }

  const TrainState& state() const { return state_; }
  int64_t last_step() const { return total_; }
  const Schedule& schedule() const { return schedule_; }
  /// Share of the steps' time that they waited for their data.
  double data_wait() const { return seconds_ > 0 ? waited_ / seconds_ : 0; }

 private:
  /// A step that was asked of the device, and what is known of it before it is done.
  struct Launched {
    StepReport report;
    std::vector<int64_t> samples;
    std::chrono::steady_clock::time_point started;
    double waited;                              // seconds, for its data
    ReadBack figures;                           // loss and gradient norm
  };
  Launched optimize(const Share& share, const Tensor& loss);
  void finish(Launched step, Observer& observer);
  void finish_launched(Observer& observer);     // of which no report came yet, if there is one
  bool is_looked_at() const;                    // what stands after this step is evaluated, answers prompts or is saved
  bool evaluate(Observer& observer);   // false: stop early
  bool checkpoint_is_due() const;
  void begin_save(Observer& observer);
  void note_written(Observer& observer, bool wait);
  void update_loss_scale(bool finite);
  std::string last_good() const;       // the last checkpoint's folder, for messages

  TrainerSetup setup_;
  BatchesAhead batches_;
  AdamW optimizer_;
  std::unique_ptr<StepGraphs> graphs_;          // null: passes are launched one operation at a time
  Schedule schedule_;
  TrainState state_;
  int64_t total_ = 0;
  Interval checkpoint_every_;
  CheckpointFolder checkpoints_;
  CheckpointWriter writer_;
  int64_t begun_step_ = -1, saved_step_ = -1;   // of checkpoints: handed to the writer, on the disk
  std::chrono::steady_clock::time_point begun_at_ = std::chrono::steady_clock::now();
  bool stopped_early_ = false;
  std::chrono::steady_clock::time_point step_started_{}, reported_at_{};
  std::optional<Launched> launched_;
  double seconds_ = 0, waited_ = 0;             // of all steps; of these, for their data
};

}  // namespace graft
