// Several adapters in one run: each comes out as it would alone.
#include "../recipes/finetune.h"
#include "../recipes/session.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/train/checkpoint.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

class SeveralTest : public ::testing::Test {
 protected:
  SeveralTest() { setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1); }

  /// Two adapters of different methods, lengths, seeds and data; `more` are overrides.
  ConfigTree config(const std::string& output_dir, std::vector<std::string> more = {}) const {
    const std::string data = golden("tiny_chat").string() + "/data/";
    return parse_config(fmt::format(R"(
model: {{path: {}}}
adapters:
  first: {{adapter: {{method: lora, rank: 4, dropout: 0.1}}, train: {{learning_rate: 5e-3, seed: 3}}}}
  second: {{adapter: {{method: prompt_tuning, num_virtual_tokens: 3}}, data: {{train: [{}val.jsonl]}}, train: {{max_steps: 5, seed: 4}}}}
data: {{train: [{}train.jsonl]}}
train: {{max_steps: 8, micro_batch_size: 2, gradient_accumulation_steps: 2, dtype: fp32}}
checkpoint: {{every: 2}}
device: cpu
output_dir: {}
)", golden("tiny_chat").string(), data, data, (folder_ / output_dir).string()), "several.yaml", more);
  }

  void run(const ConfigTree& tree) { finetune(read_jobs(tree), {}, nobody_, {}, {}); }

  /// The jobs of `tree`, one after the other, in folders of their own.
  void run_alone(const ConfigTree& tree) {
    for (const auto& [name, job] : read_jobs(tree).each) finetune(alone(job), {}, nobody_, {}, {});
  }

  TensorMap adapter(const std::string& run, const std::string& name) const { return read_adapter_tensors(folder_ / run / name / "adapter"); }

  double largest_difference(const std::string& a, const std::string& b) const {
    double largest = 0;
    for (const char* name : {"first", "second"}) {
      const TensorMap left = adapter(a, name), right = adapter(b, name);
      EXPECT_EQ(left.size(), right.size());
      for (const auto& [key, value] : left) largest = std::max(largest, difference(value, right.at(key)));
    }
    return largest;
  }

  TemporaryFolder folder_;
  Observer nobody_;
};

TEST_F(SeveralTest, EachComesOutAsAlone) {
  run(config("together")), run_alone(config("apart"));
  EXPECT_EQ(largest_difference("together", "apart"), 0);
  EXPECT_EQ(read_run_job(folder_ / "together" / "second").train.max_steps, 5);
  EXPECT_EQ(*read_run_job(folder_ / "together" / "second").train.learning_rate, method_row("prompt_tuning").rate.usual);
}

/// The losses of each adapter's steps, by its folder.
struct Losses : Observer {
  void on_step(const StepReport& report) override { of[report.adapter].push_back(report.loss); }
  std::map<std::string, std::vector<double>> of;
};

/// Losses, not values: Adam's first steps are of one size however small a gradient is, so that values part by more than rounding.
TEST_F(SeveralTest, SharedRowsAreEqualButForRounding) {
  Losses shared, apart;
  finetune(read_jobs(config("shared", {"train.share_rows=true"})), {}, shared, {}, {});
  finetune(read_jobs(config("apart")), {}, apart, {}, {});
  for (const char* name : {"first", "second"}) {
    ASSERT_EQ(shared.of[name].size(), apart.of[name].size());
    for (size_t i = 0; i < apart.of[name].size(); ++i) EXPECT_NEAR(shared.of[name][i], apart.of[name][i], 1e-5) << name << " " << i;
  }
  const double difference = largest_difference("shared", "apart");
  EXPECT_LT(difference, 1e-3);
  EXPECT_GT(difference, 0);   // it went another way
}

/// Asks for a stop after so many steps, counted over all adapters.
struct Stopper : Observer {
  explicit Stopper(int steps) : left(steps) {}
  void on_step(const StepReport& report) override {
    names.push_back(report.adapter);
    if (--left == 0) source.request_stop();
  }
  int left;
  std::stop_source source;
  std::vector<std::string> names;
};

TEST_F(SeveralTest, AStoppedRunGoesOnToTheBit) {
  Stopper stopper(5);
  EXPECT_THROW(finetune(read_jobs(config("stopped")), {}, stopper, {}, stopper.source.get_token()), Stopped);
  EXPECT_EQ(stopper.names, (std::vector<std::string>{"first", "second", "first", "second", "first", "second"}));
  EXPECT_EQ(CheckpointFolder(folder_ / "stopped" / "second" / "checkpoints").steps().back(), 3);
  resume(folder_ / "stopped", {}, {}, nobody_, {}, {});
  run(config("whole"));
  EXPECT_EQ(largest_difference("stopped", "whole"), 0);
}

TEST_F(SeveralTest, AnOverrideOfAllReachesThoseThatHaveNoValueOfTheirOwn) {
  run(config("extended"));
  resume(folder_ / "extended", {"train.max_steps=10"}, {}, nobody_, {}, {});
  EXPECT_EQ(CheckpointFolder(folder_ / "extended" / "first" / "checkpoints").steps().back(), 10);
  EXPECT_EQ(CheckpointFolder(folder_ / "extended" / "second" / "checkpoints").steps().back(), 5);
}

TEST_F(SeveralTest, WhatCannotBeShared) {
  const auto fault = [&](std::vector<std::string> overrides) -> std::string {
    try {
      read_jobs(config("x", std::move(overrides)));
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(fault({"adapters.first.train.dtype=bf16"}).find("train.dtype: first has bf16 and second has fp32"), std::string::npos);
  EXPECT_NE(fault({"adapters.first.model.path=x"}).find("'model' belongs to the whole job"), std::string::npos);
  EXPECT_NE(fault({"adapters.second.adapter.rank=3"}).find("rank"), std::string::npos);
  EXPECT_NE(fault({"adapters.a/b.train.seed=3"}).find("'a/b' is no name"), std::string::npos);
  EXPECT_NE(fault({"adapters=[]"}).find("expected a map"), std::string::npos);
  run(config("x"));
  EXPECT_THROW(run(config("x")), RequestError);
}

}  // namespace
}  // namespace graft::testing
