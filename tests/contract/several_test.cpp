// Several adapters over one base: a mixed batch equals single runs, and a step taken together equals solo steps.
#include "contract/cases.h"

#include "graft/models/generate.h"

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

std::vector<int32_t> prompt_ids(int64_t length, uint64_t seed) {
  const HostBatch row = row_of(length, seed);
  return {row.ids.begin(), row.ids.end()};
}

TEST(Several, GeneratedRowsAreThoseOfEachAlone) {
  const auto model = with_eight({"lora", "prompt_tuning", "houlsby", "p_tuning_v2", "head", "dora", "vera", "prefix_tuning"});
  GenerateOptions options{.max_new_tokens = 6};
  std::vector<Prompt> prompts;
  std::vector<std::vector<int32_t>> single;
  for (const int i : {3, 0, 7, 1, 4, 2, 5, 6, 1}) {   // in no order, one of them twice
    prompts.push_back({prompt_ids(4 + i % 4, static_cast<uint64_t>(prompts.size()) + 1), {"a" + std::to_string(i)}});
    single.push_back(generate(*model, prompts.back().adapters[0], {prompts.back().ids}, {}, options)[0]);
  }
  prompts.push_back({prompt_ids(5, 1), {""}}), single.push_back(generate(*model, "", {prompts.back().ids}, {}, options)[0]);
  EXPECT_EQ(generate(*model, prompts, {}, options), single);
  std::set<std::vector<int32_t>> distinct(single.begin(), single.end());
  EXPECT_GT(distinct.size(), 5u);   // they do say different things
}

TEST(Several, AnEnsembleSaysWhatTheMeanOfTheirLogitsSays) {
  const auto model = with_eight({"prompt_tuning", "lora", "p_tuning_v2"});
  const std::vector<int32_t> ids = prompt_ids(5, 2);
  const std::vector<std::string> all{"a0", "a1", "a2"};
  at::NoGradGuard no_grad;
  Tensor mean = at::zeros({97});
  for (const auto& name : all) {
    const HostBatch row = row_of(5, 2);
    const Tensor said = logits(*model, batch_for(*model, name, row))[0].cpu();
    mean += said[said.size(0) - 1] / 3;
  }
  EXPECT_EQ(generate(*model, {{ids, all}}, {}, {.max_new_tokens = 1})[0][0], mean.argmax().item<int64_t>());
  const auto alone = generate(*model, "a1", {ids}, {}, {.max_new_tokens = 6});
  EXPECT_EQ(generate(*model, {{ids, {"a1", "a1"}}}, {}, {.max_new_tokens = 6}), alone);
}

/// Ranks alike take the stacked product; unlike ones the other; in fused blocks all stand beside the weights.
TEST(Several, AStepTogetherEqualsSoloSteps) {
  for (const auto& [names, fused] : {std::pair<std::vector<std::string>, bool>{{"lora"}, false}, {{"lora"}, true}, {{"lora", "prompt_tuning", "pfeiffer"}, false}}) {
    const auto model = with_eight(names);
    model->set_fused(false);
    std::vector<Share> shares;
    std::vector<double> solo;
    std::map<std::string, Tensor> expected;
    for (uint64_t i = 0; i < 8; ++i) {
      const std::string name = "a" + std::to_string(i);
      shares.push_back({name, {row_of(6, i + 1), row_of(6, i + 31)}, {.seed = i, .step = static_cast<int64_t>(i)}});
      solo.push_back(backward(*model, name, shares.back().micro_batches, shares.back().context).item<double>());
      for (const auto& [key, tensor] : parameters(*model, name)) expected[name + "." + key] = tensor.grad().clone();
      clear_gradients(*model, name);
    }
    model->set_fused(fused);
    const std::vector<Tensor> together = backward_together(*model, shares);
    for (uint64_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(together[i].item<double>(), solo[i], 1e-5) << i;
      const std::string name = "a" + std::to_string(i);
      for (const auto& [key, tensor] : parameters(*model, name)) EXPECT_LT(difference(tensor.grad(), expected.at(name + "." + key)), 1e-5) << name << " " << key;
    }
  }
}

TEST(Several, WhoHasNothingToLearnInAPassIsLeftOut) {
  const auto model = with_eight({"lora"});
  HostBatch empty = row_of(6, 1);
  std::fill(empty.targets.begin(), empty.targets.end(), -100), empty.target_count = 0;
  const std::vector<Tensor> losses = backward_together(*model, {{"a0", {empty, row_of(6, 2)}, {}}, {"a1", {empty}, {}}});
  EXPECT_GT(losses[0].item<double>(), 0);
  EXPECT_EQ(losses[1].item<double>(), 0);
  for (const auto& [key, tensor] : parameters(*model, "a1")) EXPECT_FALSE(tensor.grad().defined());
}

}  // namespace
}  // namespace graft::testing
