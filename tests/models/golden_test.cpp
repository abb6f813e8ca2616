// Tiny random checkpoints of every family, against what transformers and PEFT computed (tests/golden/make_golden.py).
#include <torch/csrc/autograd/autograd.h>

#include "graft/io/tensors.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class Golden : public ::testing::TestWithParam<const char*> {};

std::shared_ptr<Transformer> load(const std::string& name, at::ScalarType dtype = at::kFloat) {
  return load_model(*open_model_files(golden(name).string()), {test_device(), dtype, {}});
}

Batch batch_from(const TensorMap& reference) {
  Batch batch;
  batch.ids = reference.at("input_ids").to(test_device());
  batch.positions = at::arange(batch.ids.size(1), at::kLong).expand_as(batch.ids).contiguous().to(test_device());
  batch.segments = at::arange(batch.ids.size(0), at::kLong).unsqueeze(1).expand_as(batch.ids).contiguous().to(test_device());
  return batch;
}

HostBatch host_batch(const TensorMap& reference) {
  const auto flat = [](const Tensor& given) {
    const Tensor x = given.cpu().contiguous();
    return std::vector<int64_t>(x.const_data_ptr<int64_t>(), x.const_data_ptr<int64_t>() + x.numel());
  };
  const Batch batch = batch_from(reference);
  HostBatch host;
  host.rows = batch.ids.size(0), host.columns = batch.ids.size(1);
  host.ids = flat(batch.ids), host.positions = flat(batch.positions), host.segments = flat(batch.segments), host.targets = flat(reference.at("targets"));
  host.target_count = std::ranges::count_if(host.targets, [](int64_t target) { return target != -100; });
  return host;
}

TEST_P(Golden, LogitsEqualTransformers) {
  const TensorMap reference = load_tensors(golden(GetParam()) / "golden.safetensors");
  at::NoGradGuard no_grad;
  const Tensor ours = logits(*load(GetParam()), batch_from(reference));
  EXPECT_LT(difference(ours, reference.at("logits")), 1e-5);
  EXPECT_LT(difference(ours, reference.at("logits64")), 1e-5);
}

TEST_P(Golden, LoraGradientsEqualPeft) {
  const auto folder = golden(GetParam());
  const TensorMap reference = load_tensors(folder / "golden.safetensors");
  const auto model = load(GetParam());
  load_adapter(*model, "default", folder / "adapter");
  Batch batch = batch_from(reference);
  batch.adapter = "default";
  {
    at::NoGradGuard no_grad;
    EXPECT_LT(difference(logits(*model, batch), reference.at("adapter_logits")), 1e-5);
  }
  for (const bool recompute : {false, true}) {
    model->set_recompute(recompute);
    for (auto& [name, tensor] : parameters(*model, "default")) Tensor(tensor).mutable_grad().reset();
    const double loss = backward(*model, "default", {host_batch(reference)}, {}).item<double>();
    EXPECT_NEAR(loss, reference.at("adapter_loss64").item<double>(), 1e-5);
    for (const auto& [name, tensor] : parameters(*model, "default")) {
      const Tensor expected = reference.at("grad64.base_model.model." + name);
      EXPECT_LT(difference(tensor.grad(), expected), 1e-5 * std::max(1.0, expected.abs().max().item<double>())) << name << (recompute ? " recomputed" : "");
    }
  }
}

TEST_P(Golden, TheOtherSpellingOfTheConfigIsTheSameModel) {
  const auto folder = golden(GetParam());
  if (!std::filesystem::exists(folder / "config.other.json")) GTEST_SKIP() << "one spelling only";
  const Json first = read_json(folder / "config.json"), second = read_json(folder / "config.other.json");
  EXPECT_EQ(outline_model(first)->describe(), outline_model(second)->describe());
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         ::testing::Values("llama", "llama_untied_bias", "llama3_rope", "llama_linear_rope", "llama_yarn", "llama_dynamic", "qwen2", "qwen2_window",
                                           "qwen3", "mistral", "mistral_window", "ministral", "gemma", "gemma2", "gemma3_text", "phi3", "phi3_longrope",
                                           "gpt2", "olmo2", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Golden, ShardsAreOneModel) {
  const TensorMap reference = load_tensors(golden("llama") / "golden.safetensors");
  at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(logits(*load("llama_sharded"), batch_from(reference)), logits(*load("llama"), batch_from(reference))));
}

}  // namespace
}  // namespace graft::testing
