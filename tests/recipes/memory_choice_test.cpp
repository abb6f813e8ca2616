// train.recompute and train.graphs where they are `auto`: what the plan makes of so much memory, and that a run keeps to it.
#include "../recipes/memory_choice.h"

#include "../recipes/finetune.h"
#include "../recipes/plan.h"
#include "../recipes/session.h"
#include "support/models.h"

namespace graft::testing {
namespace {

constexpr int64_t gib = int64_t{1} << 30;

/// The 1B shape on a GPU in bf16 with LoRA.
class MemoryChoiceTest : public ::testing::Test {
 protected:
  MemoryChoice choose(double free_gib, const std::string& recompute = "auto", const std::string& method = "lora") {
    AdapterOptions adapter;
    adapter.method = method;
    adapter.select_options();
    const StepPlanner planner(*outline_, config_, [](const std::string&) { return std::nullopt; }, adapter, {});
    TrainOptions train;
    train.recompute = recompute;
    return choose_for_memory(train, {{planner, shape_}}, static_cast<int64_t>(free_gib * static_cast<double>(gib)));
  }
  const Json config_ = read_json(std::filesystem::path(GRAFT_SOURCE_DIR) / "configs/shapes/llama-3.2-1b.json");
  const std::shared_ptr<Transformer> outline_ = outline_model(config_);
  StepShape shape_{.rows = 4, .columns = 2048, .dtype = at::kBFloat16, .on_cpu = false};
};

TEST_F(MemoryChoiceTest, LessMemoryKeepsLess) {
  std::vector<std::string> chosen;
  int64_t before = 80 * gib;
  for (double free = 80; free > 2; free *= 0.97) {
    const MemoryChoice choice = choose(free);
    if (!choice.fits) break;
    EXPECT_LE(static_cast<double>(choice.bytes), 0.9 * free * static_cast<double>(gib)) << choice.why;
    EXPECT_LE(choice.bytes, before) << choice.why;
    before = choice.bytes;
    const std::string both = choice.recompute + " " + choice.graphs;
    if (chosen.empty() || chosen.back() != both) chosen.push_back(both);
  }
  EXPECT_EQ(chosen, (std::vector<std::string>{"none auto", "none off", "gate_up auto", "gate_up off", "layer auto", "layer off", "offload auto"}));
}

TEST_F(MemoryChoiceTest, WhatIsAskedForStays) {
  EXPECT_EQ(choose(80, "layer").recompute, "layer");
  const MemoryChoice tight = choose(4, "none");
  EXPECT_EQ(tight.recompute, "none");
  EXPECT_FALSE(tight.fits);
  EXPECT_EQ(tight.graphs, "off");
}

TEST_F(MemoryChoiceTest, ThePlainPathKnowsTwoWays) {
  EXPECT_EQ(choose(80, "auto", "houlsby").recompute, "none");
  const MemoryChoice less = choose(6, "auto", "houlsby");
  EXPECT_EQ(less.recompute, "layer");
  EXPECT_NE(less.why.find("too much: none"), std::string::npos) << less.why;
}

TEST_F(MemoryChoiceTest, TheLeastWhereNothingFits) {
  const MemoryChoice choice = choose(1);
  EXPECT_EQ(choice.recompute, "offload");
  EXPECT_FALSE(choice.fits);
}

/// A CPU's table has a CPU's ways, whatever the table of cards behind it is made of.
TEST(MemoryChoice, ThePlanShowsIt) {
  Job job;
  job.model.path = (std::filesystem::path(GRAFT_SOURCE_DIR) / "configs/shapes/smollm2-135m.json").string();
  job.device = "cpu", job.train.dtype = "fp32", job.data.max_length = 64;
  const std::string text = plan_text(alone(job), {.tokens = 1000}, {});
  EXPECT_NE(text.find("recompute: none (chosen): a step takes"), std::string::npos) << text;
  EXPECT_NE(text.find("0 of 30 layers fused"), std::string::npos) << text;
  EXPECT_EQ(text.find("x 64     gate_up"), std::string::npos) << text;
  EXPECT_NE(plan_text(alone(job), {.tokens = 1000, .gpu = true}, {}).find("x 64     gate_up"), std::string::npos);
}

TEST(MemoryChoice, ARunSaysItAndKeepsIt) {
  const TemporaryFolder folder;
  setenv("GRAFT_CACHE", (folder / "cache").c_str(), 1);
  Job job;
  job.model.path = golden("tiny_chat").string();
  job.data.train = {DataSource{.path = (golden("tiny_chat") / "data/train.jsonl").string()}};
  job.train.max_steps = 2, job.train.micro_batch_size = 4, job.train.gradient_accumulation_steps = 1, job.train.dtype = "fp32";
  job.device = "cpu", job.output_dir = (folder / "run").string();
  Observer nobody;
  std::string said;
  const Log log([&](LogLevel, const std::string& text) { said += text + "\n"; });
  finetune(alone(job), {}, nobody, log, {});
  EXPECT_NE(said.find("train.recompute: none: a step takes"), std::string::npos) << said;
  EXPECT_EQ(read_run_job(folder / "run").train.recompute, "none");
  said.clear(), job.train.max_steps = 3;
  finetune(alone(job), {.resume_or_start = true}, nobody, log, {});   // of the config that said auto
  EXPECT_EQ(said.find("train.recompute"), std::string::npos) << said;
  EXPECT_NE(said.find("goes on from step 2"), std::string::npos) << said;
}

}  // namespace
}  // namespace graft::testing
