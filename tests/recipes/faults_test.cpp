// What ends a run, and what is left of it.
#include <c10/util/Exception.h>

#include <fstream>

#include "../recipes/finetune.h"
#include "graft/core/error.h"
#include "graft/io/tensors.h"
#include "graft/train/checkpoint.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

class FaultsTest : public ::testing::Test {
 protected:
  FaultsTest() {
    setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1);
    fs::copy(golden("tiny_chat"), folder_ / "model", fs::copy_options::recursive);
  }

  Job job(const std::string& run) const {
    Job job;
    job.model.path = (folder_ / "model").string();
    job.data.train = {DataSource{.path = (folder_ / "model/data/train.jsonl").string()}};
    job.adapter.options = LoraOptions{};
    job.train.max_steps = 6, job.train.micro_batch_size = 4, job.train.gradient_accumulation_steps = 1, job.train.dtype = "fp32";
    job.checkpoint.every = "2";
    job.device = "cpu", job.output_dir = (folder_ / run).string();
    return job;
  }

  /// What a run, or going on with it, fails with.
  std::string fault(const std::function<void()>& work) const {
    try {
      work();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  std::string fault_of_resume(const std::string& run) {
    return fault([&] { resume(folder_ / run, {"train.max_steps=8"}, {}, nobody_, log_, {}); });
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

  TemporaryFolder folder_;
  Observer nobody_;
  std::string said_;
  const Log log_{[this](LogLevel, const std::string& text) { said_ += text + "\n"; }};
};

/// As a GPU's allocator does, behind step 3.
struct NoMemory : Observer {
  void on_step(const StepReport& report) override {
    if (report.step == 3)
      throw c10::OutOfMemoryError(
          {__func__, __FILE__, __LINE__},
          "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4.00 GiB. See documentation for more");
  }
};

TEST_F(FaultsTest, OutOfMemorySaysWhatToChange) {
  NoMemory observer;
  const std::string text = fault([&] { finetune(alone(job("run")), {}, observer, log_, {}); });
  for (const char* part :
       {"Tried to allocate 2.00 GiB", "GiB at most", "graft plan expects", "train.micro_batch_size=2 train.gradient_accumulation_steps=2",
        "train.recompute=layer", "quantization.format=nf4", "data.max_length=1024", "graft resume"})
    EXPECT_TRUE(has(text, part)) << part << " in " << text;
  EXPECT_FALSE(has(text, "See documentation"));
  EXPECT_EQ(fault_of_resume("run"), "");
}

TEST_F(FaultsTest, AChangedDataFileIsNamed) {
  finetune(alone(job("run")), {}, nobody_, log_, {});
  std::ofstream(folder_ / "model/data/train.jsonl", std::ios::app)
      << R"({"messages": [{"role": "user", "content": "pie"}, {"role": "assistant", "content": "food"}]})"
      << "\n";
  EXPECT_TRUE(has(fault_of_resume("run"), "train.jsonl changed): put it back")) << fault_of_resume("run");
  fs::remove(folder_ / "model/data/train.jsonl");
  EXPECT_TRUE(has(fault_of_resume("run"), "train.jsonl: no such file")) << fault_of_resume("run");
}

TEST_F(FaultsTest, AChangedBaseIsSeen) {
  finetune(alone(job("run")), {}, nobody_, log_, {});
  TensorMap weights = load_tensors(folder_ / "model/model.safetensors");
  weights.at("model.norm.weight")[0].add_(1);
  save_tensors(folder_ / "model/model.safetensors", weights);
  EXPECT_TRUE(has(fault_of_resume("run"), "the base model's files changed")) << fault_of_resume("run");
}

TEST_F(FaultsTest, ADamagedCheckpointIsPassedOverAndNamedOnce) {
  finetune(alone(job("run")), {}, nobody_, log_, {});
  const fs::path file = folder_ / "run/checkpoints/step-6/optimizer.safetensors";
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('\x55');
  said_.clear();
  EXPECT_EQ(fault_of_resume("run"), "");
  EXPECT_TRUE(has(said_, "goes on from step 4")) << said_;
  EXPECT_EQ(said_.find("optimizer.safetensors is damaged"), said_.rfind("optimizer.safetensors is damaged"));
  EXPECT_TRUE(has(said_, "optimizer.safetensors is damaged"));
}

/// Puts a file where checkpoints go, so that none can be written, from step `begin` on until step `end`.
struct DiskOutage : Observer {
  DiskOutage(fs::path folder, int64_t first, int64_t last) : checkpoints(std::move(folder)), begin(first), end(last) {}
  void on_step(const StepReport& report) override {
    if (report.step == begin) fs::remove_all(checkpoints), std::ofstream(checkpoints) << "";
    if (report.step == end) fs::remove(checkpoints);
  }
  void on_checkpoint(int64_t step, const fs::path&) override { saved.push_back(step); }
  fs::path checkpoints;
  int64_t begin, end;
  std::vector<int64_t> saved;
};

TEST_F(FaultsTest, ADiskThatTakesNoCheckpointForAWhileEndsNothing) {
  DiskOutage observer(folder_ / "run/checkpoints", 1, 5);
  EXPECT_EQ(fault([&] { finetune(alone(job("run")), {}, observer, log_, {}); }), "");
  EXPECT_TRUE(has(said_, "step 2 could not be written")) << said_;
  ASSERT_FALSE(observer.saved.empty());
  EXPECT_GT(observer.saved.front(), 2);   // step 4's is written by a thread of its own: perhaps after the outage
  EXPECT_EQ(observer.saved.back(), 6);
}

TEST_F(FaultsTest, ADiskThatTakesNoCheckpointEndsTheRunOnlyAtItsEnd) {
  DiskOutage observer(folder_ / "run/checkpoints", 1, -1);
  const std::string text = fault([&] { finetune(alone(job("run")), {}, observer, log_, {}); });
  EXPECT_TRUE(has(said_, "step 2 could not be written")) << said_;
  EXPECT_TRUE(has(said_, "step 4 could not be written")) << said_;
  EXPECT_TRUE(has(text, "step 6 could not be written")) << text;
  EXPECT_TRUE(has(text, "last good checkpoint: none")) << text;
  EXPECT_TRUE(observer.saved.empty());
}

}  // namespace
}  // namespace graft::testing
