// A plan against what training allocates: for every method, with and without recompute, and for an encoder.
#include "graft/models/plan.h"

#include "graft/core/tensor_peak.h"
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
  const int64_t columns = model->has_position_table() ? std::min<int64_t>(96, model->max_positions()) : 96;
  model->set_recompute(c.recompute);
  GraftSetting setting{.seed = 1};
  setting.original = [&](const std::string& tensor) {
    return model->find_site(module_of(tensor))->values().weight + 1e-3;
  };  // what LoftQ gives back
  graft_adapter(*model, "a", options, setting);
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(*model, "a"))
    if (tensor.requires_grad()) list.push_back({name, tensor});
  AdamW optimizer(list, {});
  const HostBatch batch = full_rows(model->vocab_size(), columns, c.task);
  tensors.reset();
  for (int64_t step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    backward(*model, "a", {batch}, {.step = step});
    optimizer.step(1e-3);
  }
  const StepPlan plan = plan_step(
      *outline_model(config, c.task), config, [&](const std::string& module) { return scheme_for(load.quantization, module); },
      options, load.quantization, {.rows = rows, .columns = columns, .dtype = c.dtype, .recompute = c.recompute});
  EXPECT_EQ(plan.trained, trainable_elements(*model, "a")) << c.method;
  return static_cast<double>(plan.bytes()) / static_cast<double>(tensors.peak());
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const MethodRow* row : methods())
    for (const bool recompute : {false, true})
      all.push_back({.config = "tiny_chat",
                     .method = std::string(row->name),
                     .format = row->name == "loftq" ? "nf4" : "none",
                     .recompute = recompute});
  const Task tags{.kind = TaskKind::token_classification, .labels = {"a", "b"}};
  all.push_back({.config = "tiny_chat", .method = "lora", .format = "nf4"});
  all.push_back({.config = "tiny_chat", .method = "lora", .dtype = at::kBFloat16});
  for (const char* family : {"gpt2", "gemma2", "phi3", "qwen3", "olmo2"}) all.push_back({.config = family, .method = "lora"});
  all.push_back({.config = "bert_base", .method = "lora", .task = tags});
  return all;
}

TEST(Plan, FollowsWhatTrainingAllocates) {
  for (const Case& c : cases())
    EXPECT_NEAR(planned_over_measured(c), 1, 0.10)
        << c.config << " " << c.method << " " << c.format << (c.recompute ? " recompute" : "") << " " << c.dtype;
}

/// LoRA of rank 16 on all linear layers in bf16, as a GPU runs it, of a config.json alone.
StepPlan gpu_plan(const char* config_name, int64_t micro_batch, int64_t length, bool nf4) {
  const Json config = read_json(std::filesystem::path(GRAFT_SOURCE_DIR) / "configs/shapes" / config_name);
  QuantizationOptions quantization;
  if (nf4) quantization.format = "nf4", quantization.double_quantization = true;
  AdapterOptions options;
  std::get<LoraOptions>(options.options).rank = 16;
  return plan_step(*outline_model(config), config, [&](const std::string& module) { return scheme_for(quantization, module); },
                   options, quantization,
                   {.rows = micro_batch, .columns = length, .dtype = at::kBFloat16, .on_cpu = false, .recompute = nf4});
}
double gib(const StepPlan& plan) { return static_cast<double>(plan.bytes()) / (1 << 30); }

/// Peaks that docs/performance.md has of one H100.
TEST(Plan, AgreesWithWhatAGpuWasMeasuredToTake) {
  EXPECT_NEAR(gib(gpu_plan("llama-3.2-1b.json", 4, 2048, false)), 16.1, 0.05 * 16.1);
  EXPECT_NEAR(gib(gpu_plan("smollm2-135m.json", 16, 512, false)), 6.1, 0.05 * 6.1);
  EXPECT_NEAR(gib(gpu_plan("llama-3.1-8b.json", 1, 2048, true)), 7.63, 0.05 * 7.63);
}

TEST(Plan, CountsAnEightBillionShape) {
  const StepPlan plan = gpu_plan("llama-3.1-8b.json", 1, 2048, true);
  EXPECT_EQ(plan.trained, 41'943'040);
  EXPECT_EQ(plan.bytes("base weights"), 6'979'321'856 / 2);
  EXPECT_NEAR(plan.token_flops, 30.02e9 + 0.25e9 + 2 * 6.979e9 + 0.54e9 * 4.5, 1e9);  // 4(N+H), LoRA, recompute, attention
}

}  // namespace
}  // namespace graft::testing
