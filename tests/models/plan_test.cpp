// A plan against what training allocates: for every method with and without recompute, for an encoder, and for fused blocks in each way to recompute.
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
  Json config;
  std::string name, method, format = "none";
  Recompute recompute = Recompute::none;
  at::ScalarType dtype = at::kFloat;
  Task task{};
  bool fused = false;
  double dropout = 0;
  int64_t shared = 0;
};
Case on_golden(const std::string& name, const std::string& method) { return {read_json(golden(name) / "config.json"), name, method}; }

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

/// The same texts in one row, behind so many tokens that they begin with.
HostBatch sharing_row(int64_t vocabulary, int64_t columns, int64_t shared) {
  HostBatch batch;
  const int64_t rest = columns - shared;
  batch.rows = 1, batch.columns = batch.token_count = batch.target_count = shared + rows * rest, batch.packed = true, batch.shared = shared;
  for (int64_t i = 0; i < batch.columns; ++i) {
    const bool is_shared = i < shared;
    batch.ids.push_back(i % vocabulary), batch.targets.push_back((i + 1) % vocabulary);
    batch.positions.push_back(is_shared ? i : shared + (i - shared) % rest), batch.segments.push_back(is_shared ? shared_segment : (i - shared) / rest);
  }
  return batch;
}

struct Compared {
  StepPlan plan;
  int64_t measured = 0;
  double ratio() const { return static_cast<double>(plan.bytes()) / static_cast<double>(measured); }
  std::string text() const {
    std::string text = fmt::format("{} planned in {}, {} measured:", plan.bytes(), plan.moment, measured);
    for (const auto& [kind, bytes] : plan.memory) text += fmt::format(" {} {};", kind, bytes);
    return text;
  }
};

/// The plan of a step and what the second optimizer step took.
Compared compare(const Case& c) {
  LoadOptions load{at::kCPU, c.dtype, {}, c.task};
  load.quantization.format = c.format;
  AdapterOptions options;
  options.method = c.method;
  options.select_options();
  if (auto* lora = std::get_if<LoraOptions>(&options.options)) lora->dropout = c.dropout;
  TensorPeak tensors;
  const auto model = random_model(c.config, load, 1);
  const int64_t columns = model->has_position_table() ? std::min<int64_t>(96, model->max_positions()) : 96;
  model->set_fused(c.fused), model->set_recompute(c.recompute);
  GraftSetting setting{.seed = 1};
  setting.original = [&](const std::string& tensor) {
    return model->find_site(module_of(tensor))->values().weight + 1e-3;
  };  // what LoftQ gives back
  graft_adapter(*model, "a", options, setting);
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(*model, "a"))
    if (tensor.requires_grad()) list.push_back({name, tensor});
  AdamW optimizer(list, {});
  const HostBatch batch = c.shared > 0 ? sharing_row(model->vocab_size(), columns, c.shared) : full_rows(model->vocab_size(), columns, c.task);
  tensors.reset();
  for (int64_t step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    backward(*model, "a", {batch}, {.step = step});
    optimizer.step(1e-3);
  }
  const int64_t measured = tensors.peak();
  const StepPlan plan = plan_step(
      *outline_model(c.config, c.task), c.config, [&](const std::string& module) { return scheme_for(load.quantization, module); },
      options, load.quantization, {.rows = rows, .columns = columns, .shared = c.shared, .dtype = c.dtype, .fused = c.fused, .recompute = c.recompute});
  EXPECT_EQ(plan.fused_layers, model->fused_layers("a")) << c.name;
  EXPECT_EQ(plan.trained, trainable_elements(*model, "a")) << c.method;
  return {plan, measured};
}

std::vector<Case> plain_cases() {
  std::vector<Case> all;
  for (const MethodRow* row : methods())
    for (const auto recompute : {Recompute::none, Recompute::layer}) {
      all.push_back(on_golden("tiny_chat", std::string(row->name)));
      if (row->name == "loftq") all.back().format = "nf4";
      all.back().recompute = recompute;
    }
  for (const char* family : {"tiny_chat", "tiny_chat", "gpt2", "gemma2", "phi3", "qwen3", "olmo2", "bert_base"}) all.push_back(on_golden(family, "lora"));
  all.back().task = {.kind = TaskKind::token_classification, .labels = {"a", "b"}};
  all.end()[-8].format = "nf4", all.end()[-7].dtype = at::kBFloat16;
  all.push_back(on_golden("tiny_chat", "lora")), all.back().shared = 40;
  return all;
}

/// Four layers whose matrices are not all padding.
Json wide_config(const std::string& family) {
  Json config = tiny_config(family);
  config.update({{"hidden_size", 192}, {"intermediate_size", 512}, {"num_hidden_layers", 4}, {"head_dim", 32}, {"max_position_embeddings", 256}, {"vocab_size", 320}});
  if (family == "smollm3") config["no_rope_layers"] = {1, 1, 0, 1};
  return config;
}

std::vector<Case> fused_cases() {
  std::vector<Case> all;
  const auto one = [&](const char* family, const char* method) -> Case& { return all.emplace_back(Case{.config = wide_config(family), .name = family, .method = method, .fused = true}); };
  for (const auto recompute : {Recompute::none, Recompute::gate_up, Recompute::layer, Recompute::offload}) {
    for (const char* family : {"llama", "mistral", "qwen2", "qwen3", "gemma", "smollm3", "gemma2"}) one(family, "lora").recompute = recompute;
    for (const char* format : {"nf4", "int8_absmax"}) {
      one("llama", "lora").format = format, all.back().recompute = recompute;
      one("qwen3", "lora").format = format, all.back().recompute = recompute, all.back().dtype = at::kBFloat16;
    }
    for (const char* method : {"prompt_tuning", "prefix_tuning", "full"}) one("llama", method).recompute = recompute;
    for (const char* method : {"dora", "vera", "ia3"})
      for (const char* family : {"llama", "qwen3"}) one(family, method).recompute = recompute;
    one("llama", "lora").shared = 40, all.back().recompute = recompute;
    one("llama", "lora").dropout = 0.1, all.back().recompute = recompute;
  }
  return all;
}

/// Methods that fused blocks do not take run the plain path beside settled weights.
void expect_planned(const std::vector<Case>& cases, double fused_bound) {
  for (const Case& c : cases) {
    const Compared compared = compare(c);
    const double bound = c.method == "lora" || c.method == "dora" || c.method == "vera" || c.method == "ia3" ? fused_bound : 0.10;
    EXPECT_NEAR(compared.ratio(), 1, bound) << c.name << " " << c.method << " " << c.format << " " << recompute_names()[static_cast<size_t>(c.recompute)] << " " << c.dtype
                                           << (c.dropout > 0 ? " dropout: " : ": ") << compared.text();
  }
}

TEST(Plan, FollowsWhatTrainingAllocates) { expect_planned(plain_cases(), 0.10); }
TEST(Plan, FollowsWhatFusedBlocksAllocate) { expect_planned(fused_cases(), 0.05); }

/// LoRA of rank 16 on all linear layers in bf16, as a GPU runs it, of a config.json alone.
StepPlan gpu_plan(const char* config_name, int64_t micro_batch, int64_t length, bool nf4, Recompute recompute = Recompute::none) {
  const Json config = read_json(std::filesystem::path(GRAFT_SOURCE_DIR) / "configs/shapes" / config_name);
  QuantizationOptions quantization;
  if (nf4) quantization.format = "nf4", quantization.double_quantization = true;
  AdapterOptions options;
  std::get<LoraOptions>(options.options).rank = 16;
  return plan_step(*outline_model(config), config, [&](const std::string& module) { return scheme_for(quantization, module); },
                   options, quantization,
                   {.rows = micro_batch, .columns = length, .dtype = at::kBFloat16, .on_cpu = false, .recompute = recompute});
}
double gib(const StepPlan& plan) { return static_cast<double>(plan.bytes()) / (1 << 30); }

/// Peaks of one H200 (docs/performance.md).
TEST(Plan, AgreesWithWhatAGpuWasMeasuredToTake) {
  EXPECT_NEAR(gib(gpu_plan("llama-3.1-8b.json", 4, 2048, true)), 29.9, 0.01 * 29.9);
  EXPECT_NEAR(gib(gpu_plan("llama-3.1-8b.json", 8, 512, true)), 18.1, 0.01 * 18.1);
  EXPECT_NEAR(gib(gpu_plan("llama-3.1-8b.json", 4, 2048, true, Recompute::offload)), 7.49, 0.01 * 7.49);
}

TEST(Plan, CountsAnEightBillionShape) {
  const StepPlan plan = gpu_plan("llama-3.1-8b.json", 1, 2048, true, Recompute::layer);
  EXPECT_EQ(plan.trained, 41'943'040);
  EXPECT_EQ(plan.bytes("base weights"), 6'979'321'856 / 2);
  EXPECT_EQ(plan.fused_layers, 32);
  EXPECT_TRUE(plan.replays);
  EXPECT_NEAR(plan.token_flops, 30.02e9 + 0.25e9 + 2 * 6.979e9 + 0.54e9 * 4.5, 1e9);  // 4(N+H), LoRA, recompute, attention
}

/// Each way keeps less than the one before, and counts more.
TEST(Plan, TradesMemoryForWork) {
  StepPlan before = gpu_plan("llama-3.2-1b.json", 4, 2048, false);
  for (const auto recompute : {Recompute::gate_up, Recompute::layer, Recompute::offload}) {
    const StepPlan plan = gpu_plan("llama-3.2-1b.json", 4, 2048, false, recompute);
    EXPECT_LT(plan.bytes(), before.bytes());
    EXPECT_GE(plan.token_flops, before.token_flops);
    before = plan;
  }
}

}  // namespace
}  // namespace graft::testing
