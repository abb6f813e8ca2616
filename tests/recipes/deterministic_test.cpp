// deterministic: true. What it is worth shows on a GPU (benchmarks/acceptance/never_lose_a_run.sh --gpu --only gpu_kills); here, that it
// reaches LibTorch for as long as the run lasts, and that a run goes on as it began.
#include <ATen/Context.h>

#include "../recipes/finetune.h"
#include "graft/core/error.h"
#include "support/models.h"

namespace graft::testing {
namespace {

bool is_deterministic() { return at::globalContext().deterministicAlgorithms() && !at::globalContext().deterministicAlgorithmsWarnOnly(); }

/// Whether every step was taken so.
struct Watcher : Observer {
  void on_step(const StepReport&) override { ++(is_deterministic() ? repeatable : other); }
  int repeatable = 0, other = 0;
};

class DeterministicTest : public ::testing::Test {
 protected:
  DeterministicTest() { setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1); }

  Job job(bool deterministic) const {
    Job job;
    job.model.path = golden("tiny_chat").string();
    job.data.train = {DataSource{.path = (golden("tiny_chat") / "data/train.jsonl").string()}};
    job.train.max_steps = 2, job.train.micro_batch_size = 4, job.train.gradient_accumulation_steps = 1, job.train.dtype = "fp32";
    job.device = "cpu", job.deterministic = deterministic, job.output_dir = (folder_ / "run").string();
    return job;
  }
  void go_on(bool deterministic, bool allow_change) {
    resume(folder_ / "run", {"train.max_steps=3", fmt::format("deterministic={}", deterministic)}, {.allow_change = allow_change}, watcher_, log_, {});
  }

  TemporaryFolder folder_;
  Watcher watcher_;
  std::string said_;
  const Log log_{[this](LogLevel, const std::string& text) { said_ += text + "\n"; }};
};

TEST(Deterministic, LastsAsLongAsItLives) {
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
  const bool cudnn = at::globalContext().userEnabledCuDNNSDP();
  {
    const Deterministic unwanted(false);
    EXPECT_FALSE(is_deterministic());
    EXPECT_EQ(std::getenv("CUBLAS_WORKSPACE_CONFIG"), nullptr);
  }
  {
    const Deterministic repeatable(true);
    EXPECT_TRUE(is_deterministic());
    EXPECT_FALSE(at::globalContext().userEnabledCuDNNSDP());
    EXPECT_STREQ(std::getenv("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
  }
  EXPECT_FALSE(is_deterministic());
  EXPECT_EQ(at::globalContext().userEnabledCuDNNSDP(), cudnn);
}

TEST_F(DeterministicTest, EveryStepOfTheRunAndNoneAfterIt) {
  finetune(alone(job(true)), {}, watcher_, log_, {});
  EXPECT_EQ(watcher_.repeatable, 2);
  EXPECT_EQ(watcher_.other, 0);
  EXPECT_FALSE(is_deterministic());
}

TEST_F(DeterministicTest, ARunGoesOnAsItBegan) {
  finetune(alone(job(true)), {}, watcher_, log_, {});
  EXPECT_THROW(go_on(false, false), RequestError);
  go_on(true, false);
  EXPECT_EQ(watcher_.repeatable, 3);
  EXPECT_EQ(said_.find("deterministic was"), std::string::npos) << said_;
  finetune(alone(job(true)), {.overwrite = true}, watcher_, log_, {});
  go_on(false, true);
  EXPECT_EQ(watcher_.other, 1);
  EXPECT_NE(said_.find("deterministic was true and is false: results will not be equal to the bit"), std::string::npos) << said_;
}

}  // namespace
}  // namespace graft::testing
