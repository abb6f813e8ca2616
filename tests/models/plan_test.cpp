// A plan against what training allocates: for every method, with and without recompute, and for an encoder.
#include "graft/models/plan.h"

#include "../../benchmarks/tensor_peak.h"
#include "graft/core/error.h"
#include "graft/peft/graft_adapter.h"
#include "graft/train/adamw.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

constexpr int64_t rows = 6;

struct Case {
  std::string config, method, format = "none";
  bool recompute = false;
  at::ScalarType dtype = at::kFloat;
  Task task{};
};

HostBatch full_rows(int64_t vocabulary, int64_t columns, const Task& task) {
  HostBatch batch;
  batch.rows = rows, batch.columns = columns, batch.token_count = rows * columns;
  for (int64_t i = 0; i < rows * columns; ++i) {
    batch.ids.push_back(i % vocabulary), batch.positions.push_back(i % columns), batch.segments.push_back(i / columns);
    batch.targets.push_back(task.kind == TaskKind::causal_lm ? (i + 1) % vocabulary : i % 2);
  }
  batch.target_count = rows * columns;
  return batch;
}

/// Planned over measured, of the second optimizer step.
double planned_over_measured(const Case& c) {
  const Json config = read_json(golden(c.config) / "config.json");
  LoadOptions load{at::kCPU, c.dtype, {}, c.task};
  load.quantization.format = c.format;
  AdapterOptions options;
  options.method = c.method;
  options.select_options();
  TensorPeak tensors;
  const auto model = random_model(config, load, 1);
  model->set_recompute(c.recompute);
  graft_adapter(*model, "a", options, 1);
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(*model, "a"))
    if (tensor.requires_grad()) list.push_back({name, tensor});
  AdamW optimizer(list, {});
  const int64_t columns = std::min<int64_t>(96, model->max_positions());   // gpt2's table has 32
  const HostBatch batch = full_rows(model->vocab_size(), columns, c.task);
  tensors.reset();
  for (int64_t step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    backward(*model, "a", {batch}, {.step = step});
    optimizer.step(1e-3);
  }
  const StepPlan plan = plan_step(*outline_model(config, c.task), config, [&](const std::string& module) { return scheme_for(load.quantization, module); }, options,
                                  load.quantization, {.rows = rows, .columns = columns, .dtype = c.dtype, .recompute = c.recompute});
  EXPECT_EQ(plan.trained, trainable_elements(*model, "a")) << c.method;
  return static_cast<double>(plan.bytes()) / static_cast<double>(tensors.peak());
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const MethodRow* row : methods())
    for (const bool recompute : {false, true})
      if (row->name != "loftq")   // LoRA, with first values that need the base before it was quantised
        all.push_back({.config = "tiny_chat", .method = std::string(row->name), .recompute = recompute});
  const Task tags{.kind = TaskKind::token_classification, .labels = {"a", "b"}};
  all.push_back({.config = "tiny_chat", .method = "lora", .format = "nf4"});
  all.push_back({.config = "tiny_chat", .method = "lora", .dtype = at::kBFloat16});
  for (const char* family : {"gpt2", "gemma2", "phi3", "qwen3", "olmo2"}) all.push_back({.config = family, .method = "lora"});
  all.push_back({.config = "bert_base", .method = "lora", .task = tags});
  return all;
}

TEST(Plan, FollowsWhatTrainingAllocates) {
  for (const Case& c : cases())
    EXPECT_NEAR(planned_over_measured(c), 1, 0.10) << c.config << " " << c.method << " " << c.format << (c.recompute ? " recompute" : "") << " " << c.dtype;
}

TEST(Plan, KnowsAnEightBillionShapeFromItsConfigAlone) {
  const Json config = read_json(std::filesystem::path(GRAFT_SOURCE_DIR) / "benchmarks/acceptance/llama_8b.json");
  QuantizationOptions quantization;
  quantization.format = "nf4", quantization.double_quantization = true;
  AdapterOptions options;
  std::get<LoraOptions>(options.options).rank = 16;
  const auto outline = outline_model(config);
  const StepPlan plan = plan_step(*outline, config, [&](const std::string& module) { return scheme_for(quantization, module); }, options, quantization,
                                  {.rows = 1, .columns = 2048, .dtype = at::kBFloat16, .on_cpu = false, .recompute = true});
  EXPECT_EQ(plan.trained, 41'943'040);
  EXPECT_EQ(plan.bytes("base weights"), 6'979'321'856 / 2);
  EXPECT_NEAR(plan.token_flops, 30.02e9 + 0.25e9 + 2 * 6.979e9 + 0.54e9 * 4.5, 1e9);   // the owner's table
}

}  // namespace
}  // namespace graft::testing
