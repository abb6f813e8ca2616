// graft bench on a tiny shape: it is the trainer's own step, its figures agree with each other, and the floor is below the step.
#include "../recipes/bench.h"

#include <ATen/Parallel.h>

#include <fstream>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class BenchTest : public ::testing::Test {
 protected:
  BenchTest() {
    at::set_num_threads(1);   // tiny products: threads that wait for each other cost more than they bring
    setenv("GRAFT_CONFIGS", GRAFT_SOURCE_DIR "/configs", 1);   // the installed ones lie beside the program, which this is not
    write_file(folder_ / "shape.json", tiny_config("llama").dump());
  }
  ~BenchTest() override { unsetenv("GRAFT_CONFIGS"); }
  Job job(const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all = {"device=cpu", "train.dtype=fp32", "data.max_length=32"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return bench_job((folder_ / "shape.json").string(), all);
  }
  TemporaryFolder folder_;
};

TEST_F(BenchTest, MeasuresFullRowsAgainstTheFloor) {
  const Json r = bench(job(), {.seconds = 0.3, .rows = BenchRows{3, 24}}, {});
  EXPECT_EQ(r.at("rows"), 3);
  EXPECT_EQ(r.at("columns"), 24);
  EXPECT_TRUE(r.at("full_rows").get<bool>());
  EXPECT_EQ(r.at("tokens_per_step"), 72);
  EXPECT_NEAR(r.at("tokens_per_second").get<double>() * r.at("step_ms").get<double>() / 1e3, 72, 1e-6);
  EXPECT_GE(r.at("steps").get<int>(), 5);
  EXPECT_GE(r.at("seconds").get<double>(), 0.3);
  for (const auto& [less, more] : {std::pair{"step_ms_min", "step_ms_q1"}, {"step_ms_q1", "step_ms"}, {"step_ms", "step_ms_q3"}, {"step_ms_q3", "step_ms_max"}})
    EXPECT_LE(r.at(less).get<double>(), r.at(more).get<double>()) << less;
  EXPECT_GT(r.at("floor_ms").get<double>(), 0);
  EXPECT_DOUBLE_EQ(r.at("share_of_floor").get<double>(), r.at("floor_ms").get<double>() / r.at("step_ms").get<double>());
  // q,k,v 48 x 80, o 48 x 48, gate,up 48 x 80, down 40 x 48 in two layers, the head 48 x 97: forward and back
  const double flops = 4.0 * 72 * (2 * (48 * 80 + 48 * 48 + 48 * 80 + 40 * 48) + 48 * 97);
  EXPECT_NEAR(r.at("floor_tflops").get<double>() * r.at("floor_products_ms").get<double>() * 1e9, flops, 1e-6 * flops);
  EXPECT_NEAR(r.at("floor_ms").get<double>(), r.at("floor_products_ms").get<double>() + r.at("floor_attention_ms").get<double>(), 1e-9);
  EXPECT_NEAR(r.at("peak_allocated_gib").get<double>() / r.at("planned_gib").get<double>(), 1, 0.15);
  EXPECT_NEAR(r.at("first_loss").get<double>(), std::log(97), 0.5);   // random weights know nothing of 97 tokens
  EXPECT_EQ(r.at("skipped_steps"), 0);
  EXPECT_NE(bench_text(r).find("of it is reached"), std::string::npos);
}

TEST_F(BenchTest, WhatIsComputedAgainIsInTheFloor) {
  const auto flops = [&](const std::string& recompute) {
    const Json r = bench(job({"train.recompute=" + recompute}), {.seconds = 0.05, .rows = BenchRows{1, 16}}, {});
    return r.at("floor_tflops").get<double>() * r.at("floor_products_ms").get<double>() * 1e9;
  };
  const double none = flops("none"), wide = 2.0 * 16 * 2 * 48 * 80, layers = 2.0 * 16 * 2 * (48 * 80 + 48 * 48 + 48 * 80 + 40 * 48);
  EXPECT_NEAR(flops("gate_up"), none + wide, 1e-6 * none);
  EXPECT_NEAR(flops("layer"), none + layers, 1e-6 * none);
}

TEST_F(BenchTest, FollowsTheJob) {
  const Json r = bench(job({"adapter.method=ia3", "quantization.format=nf4", "train.recompute=layer", "train.gradient_accumulation_steps=2",
                            "train.micro_batch_size=2"}),
                       {.seconds = 0.05, .floor = false}, {});
  EXPECT_EQ(r.at("adapter"), "ia3");
  EXPECT_EQ(r.at("format"), "nf4");
  EXPECT_EQ(r.at("recompute"), "layer");
  EXPECT_EQ(r.at("tokens_per_step"), 2 * 2 * 32);
  EXPECT_FALSE(r.contains("floor_ms"));
}

TEST_F(BenchTest, CountsTheRealTokensOfPackedSamples) {
  std::ofstream lengths(folder_ / "lengths.txt");
  for (int i = 0; i < 64; ++i) lengths << 5 + i % 7 << "\n";
  lengths.close();
  const Json packed = bench(job({"data.packing=true", "train.micro_batch_size=4"}), {.seconds = 0.1, .lengths = folder_ / "lengths.txt"}, {});
  EXPECT_FALSE(packed.contains("floor_ms"));   // the floor is of full rows
  EXPECT_LE(packed.at("tokens_per_step").get<double>(), 4 * 32);
  EXPECT_GT(packed.at("tokens_per_step").get<double>(), 0.7 * 4 * 32);
  const Json alone = bench(job({"train.micro_batch_size=4"}), {.seconds = 0.1, .lengths = folder_ / "lengths.txt"}, {});
  EXPECT_LE(alone.at("tokens_per_step").get<double>(), 4 * 11);
}

TEST_F(BenchTest, AJobOnAModelsFilesTrainsOnItsOwnData) {
  setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1);
  write_file(folder_ / "job.yaml", fmt::format("model: {{path: {0}}}\ndata: {{train: [{0}/data/train.jsonl]}}\n", golden("tiny_chat").string()));
  const Json r = bench(bench_job((folder_ / "job.yaml").string(), {"device=cpu", "train.dtype=fp32"}), {.seconds = 0.05}, {});
  EXPECT_FALSE(r.at("full_rows").get<bool>());
  EXPECT_EQ(r.at("model"), "tiny_chat");
}

TEST_F(BenchTest, WrongRequestsAreRefused) {
  EXPECT_THROW(bench_job("llama-3.1-9b", {}), RequestError);
  write_file(folder_ / "words.txt", "12 seven\n");
  write_file(folder_ / "short.txt", "1\n");
  for (const char* file : {"words.txt", "short.txt", "absent.txt"})
    EXPECT_THROW(bench(job(), {.seconds = 0.05, .lengths = folder_ / file}, {}), RequestError) << file;
}

TEST_F(BenchTest, WhatCannotFitIsRefusedBeforeAWeightIsMade) {
  EXPECT_THROW(bench(bench_job("llama-3.1-70b", {"device=cpu", "train.dtype=fp32"}), {.seconds = 0.05, .rows = BenchRows{1, 32}}, {}), RequestError);
}

TEST_F(BenchTest, TheNamedShapesAreModels) {
  for (const char* name : {"llama-3.1-8b", "llama-3.1-70b", "llama-3.2-1b", "qwen2.5-0.5b", "qwen2.5-7b", "smollm2-135m", "gemma-2b"})
    EXPECT_GT(outline_model(read_json(bench_job(name, {}).model.path))->layers(), 1) << name;
}

}  // namespace
}  // namespace graft::testing
