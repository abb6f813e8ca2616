// Several adapters over one base: a mixed batch equals single runs, and a step taken together equals solo steps.
#include "contract/cases.h"

namespace graft::testing {
namespace {

HostBatch row_of(int64_t length, uint64_t seed) {
  const Batch batch = batch_of({length}, 97, seed);
  const auto flat = [](const Tensor& x) {
    const Tensor y = x.cpu();
    return std::vector<int64_t>(y.const_data_ptr<int64_t>(), y.const_data_ptr<int64_t>() + y.numel());
  };
  HostBatch host;
  host.rows = 1, host.columns = length, host.token_count = length;
  host.ids = flat(batch.ids), host.positions = flat(batch.positions), host.segments = flat(batch.segments);
  for (int64_t t = 0; t < length; ++t) host.targets.push_back(t >= 2 ? (host.ids[static_cast<size_t>(t)] * 7 + 3) % 97 : -100);
  host.target_count = length - 2;
  return host;
}

/// Eight adapters of these methods in turn, with values of their own.
std::shared_ptr<Transformer> with_eight(const std::vector<std::string>& names, int prompt_step = 1) {
  const auto model = random_model(tiny_config("llama"), {test_device(), at::kFloat, {}}, 5);
  for (uint64_t i = 0; i < 8; ++i) {
    AdapterOptions options;
    options.method = names[i % names.size()];
    options.select_options();
    std::visit([&](auto& o) {
      if constexpr (requires { o.num_virtual_tokens; }) o.num_virtual_tokens = 2 + prompt_step * static_cast<int>(i);   // of other lengths
    }, options.options);
    const std::string name = "a" + std::to_string(i);
    graft_adapter(*model, name, options, i + 1);
    randomize(*model, name, 0.2, i + 11);
  }
  return model;
}

void expect_mixed_equals_single(Transformer& model) {
  at::NoGradGuard no_grad;
  std::vector<Batch> parts;
  std::vector<Tensor> single;
  for (int64_t i = 0; i < 8; ++i) {
    parts.push_back(batch_for(model, "a" + std::to_string(i), row_of(5 + i % 3, static_cast<uint64_t>(i) + 1)));
    single.push_back(logits(model, parts.back())[0]);
  }
  const Batch batch = mixed(parts);
  const Tensor hidden = model.hidden(batch);
  for (int64_t i = 0; i < 8; ++i) {
    const Tensor here = model.predict(hidden.narrow(0, i, 1), parts[static_cast<size_t>(i)])[0].slice(0, 0, single[static_cast<size_t>(i)].size(0));
    EXPECT_LT(difference(here, single[static_cast<size_t>(i)]), 1e-5) << i;
  }
}

TEST(Several, EightLorasInABatchEqualSingleRuns) { expect_mixed_equals_single(*with_eight({"lora"})); }
TEST(Several, EightPromptsInABatchEqualSingleRuns) { expect_mixed_equals_single(*with_eight({"prompt_tuning"})); }
TEST(Several, EightPrefixesInABatchEqualSingleRuns) { expect_mixed_equals_single(*with_eight({"p_tuning_v2"})); }
TEST(Several, ATaskEachOfAnotherKindInABatchEqualsSingleRuns) {
  expect_mixed_equals_single(*with_eight({"lora", "prompt_tuning", "houlsby", "p_tuning_v2", "ia3", "dora", "vera", "prefix_tuning"}));
}

/// Ranks alike take the stacked product; unlike ones the other.
TEST(Several, AStepTogetherEqualsSoloSteps) {
  for (const auto& names : {std::vector<std::string>{"lora"}, {"lora", "prompt_tuning", "pfeiffer"}}) {
    const auto model = with_eight(names);
    std::vector<Share> shares;
    std::vector<double> solo;
    std::map<std::string, Tensor> expected;
    for (uint64_t i = 0; i < 8; ++i) {
      const std::string name = "a" + std::to_string(i);
      shares.push_back({name, {row_of(6, i + 1), row_of(6, i + 31)}, {.seed = i, .step = static_cast<int64_t>(i)}});
      solo.push_back(backward(*model, name, shares.back().micro_batches, shares.back().context));
      for (const auto& [key, tensor] : parameters(*model, name)) expected[name + "." + key] = tensor.grad().clone();
      clear_gradients(*model, name);
    }
    const std::vector<double> together = backward_together(*model, shares);
    for (uint64_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(together[i], solo[i], 1e-5) << i;
      const std::string name = "a" + std::to_string(i);
      for (const auto& [key, tensor] : parameters(*model, name)) EXPECT_LT(difference(tensor.grad(), expected.at(name + "." + key)), 1e-5) << name << " " << key;
    }
  }
}

TEST(Several, WhoHasNothingToLearnInAPassIsLeftOut) {
  const auto model = with_eight({"lora"});
  HostBatch empty = row_of(6, 1);
  std::fill(empty.targets.begin(), empty.targets.end(), -100), empty.target_count = 0;
  const std::vector<double> losses = backward_together(*model, {{"a0", {empty, row_of(6, 2)}, {}}, {"a1", {empty}, {}}});
  EXPECT_GT(losses[0], 0);
  EXPECT_EQ(losses[1], 0);
  for (const auto& [key, tensor] : parameters(*model, "a1")) EXPECT_FALSE(tensor.grad().defined());
}

}  // namespace
}  // namespace graft::testing
