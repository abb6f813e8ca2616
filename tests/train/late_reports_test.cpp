// Reports that come a step later change nothing but when they come.
#include <gtest/gtest.h>

#include <cmath>

#include "graft/data/random_dataset.h"
#include "graft/io/atomic_file.h"
#include "graft/peft/graft_adapter.h"
#include "graft/train/trainer.h"
#include "support/models.h"

namespace graft::testing {
namespace {

constexpr int64_t last_step = 12, broken_step = 7;   // whose loss is made not finite
bool is_looked_at(int64_t step) { return step % 4 == 0 || step % 5 == 0 || step == last_step; }   // checkpoints, evaluations

struct Told : Observer {
  void on_step(const StepReport& r) override {
    reports.push_back(r);
    if (r.step == stop_after) stop.request_stop();
  }
  void on_eval(const EvalReport& r) override { EXPECT_EQ(reports.back().step, r.step); }
  int64_t stop_after = -1;
  std::vector<StepReport> reports;
  std::stop_source stop;
};

/// A model with a trainer, and what it told.
struct Course {
  Course(const Dataset& data, std::filesystem::path folder, bool late)
      : checkpoints(folder / "checkpoints"), model(random_model(tiny_config("llama"), {test_device(), at::kFloat, {}}, 1)) {
    LoraOptions lora;
    lora.dropout = 0.1;
    AdapterOptions adapter;
    adapter.options = lora;
    graft_adapter(*model, sole_adapter, adapter, 3);
    TrainOptions options;
    options.max_steps = last_step, options.micro_batch_size = 2, options.gradient_accumulation_steps = 2, options.max_skipped_steps = 3;
    trainer = std::make_unique<Trainer>(TrainerSetup{*model, sole_adapter, [](std::string_view) { return 1.0; }, data, 0, 0, options, 1e-2, EvalOptions{.every = 5},
                                                     [] { return EvalReport{.loss = 1}; }, CheckpointOptions{.every = "4", .keep = 9}, std::move(folder), {}, "", {}, late});
  }

  /// The next step, with a loss that is not finite if `breaks`.
  void step(bool breaks) {
    const Share share = trainer->next_share();
    const Tensor loss = trainer->backward(share);
    trainer->take_step(share, breaks ? loss * std::nan("") : loss, told);
  }

  CheckpointFolder checkpoints;
  std::shared_ptr<Transformer> model;
  std::unique_ptr<Trainer> trainer;
  Told told;
};

class LateReports : public ::testing::Test {
 protected:
  Course run(const std::string& name, bool late) const { return {data_, folder_ / name, late}; }
  TemporaryFolder folder_;
  Dataset data_ = random_dataset(std::vector<int64_t>(40, 9), 97, 5, folder_ / "data");
};

void expect_equal_checkpoints(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(a.state.to_json(), b.state.to_json());
  for (const auto& [name, tensor] : a.adapter) EXPECT_TRUE(tensor.equal(b.adapter.at(name))) << name;
  for (const auto& [name, tensor] : a.optimizer) EXPECT_TRUE(tensor.equal(b.optimizer.at(name))) << name;
}

TEST_F(LateReports, SayTheSameAndAreThereWhenLookedAt) {
  Course now = run("now", false), late = run("late", true);
  const auto began = std::chrono::steady_clock::now();
  for (int64_t step = 1; step <= last_step; ++step) {
    now.step(step == broken_step), late.step(step == broken_step);
    EXPECT_EQ(std::ssize(now.told.reports), step);
    EXPECT_EQ(std::ssize(late.told.reports), is_looked_at(step) ? step : step - 1);
  }
  double seconds = 0;
  for (int64_t i = 0; i < last_step; ++i) {
    const StepReport &a = now.told.reports[i], &b = late.told.reports[i];
    EXPECT_EQ(b.step, i + 1);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.learning_rate, b.learning_rate);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
    EXPECT_EQ(b.skipped, b.step == broken_step);
    EXPECT_EQ(b.samples.size(), b.skipped ? 4u : 0u);
    EXPECT_EQ(a.samples, b.samples);
    EXPECT_EQ(b.skipped_total, b.step >= broken_step ? 1 : 0);
    EXPECT_TRUE(b.skipped || a.loss == b.loss);
    seconds += b.seconds;
  }
  EXPECT_LE(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  for (const int64_t step : {4, 8, 12}) expect_equal_checkpoints(now.checkpoints.read(step), late.checkpoints.read(step));
  EXPECT_EQ(late.checkpoints.read(8).state.skipped, 1);
}

TEST_F(LateReports, AStopSavesWhatWasLaunchedAndGoesOnExactly) {
  Course whole = run("whole", false), stopped = run("stopped", true), again = run("again", true);
  whole.trainer->run(whole.told);
  stopped.told.stop_after = 6;
  EXPECT_THROW(stopped.trainer->run(stopped.told, stopped.told.stop.get_token()), Stopped);
  EXPECT_EQ(stopped.told.reports.back().step, 7);   // the one that was under way
  const Checkpoint checkpoint = stopped.checkpoints.read(7);
  EXPECT_EQ(checkpoint.state.norms.seen, 7);
  again.trainer->restore(checkpoint);
  again.trainer->run(again.told);
  EXPECT_EQ(again.told.reports.front().step, 8);
  expect_equal_checkpoints(whole.checkpoints.read(12), again.checkpoints.read(12));
}

TEST_F(LateReports, TooManySkippedStepsEndTheRun) {
  Course late = run("late", true);
  late.step(false);
  std::string failure;
  for (int step = 2; step < last_step && failure.empty(); ++step) try {
      late.step(true);
    } catch (const Error& e) {
      failure = e.what();
    }
  EXPECT_TRUE(failure.starts_with("3 steps in a row were not finite")) << failure;
  EXPECT_EQ(late.told.reports.back().step, 4);
}

}  // namespace
}  // namespace graft::testing
