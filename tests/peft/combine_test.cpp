// LoRA adapters added up from their folders, against the updates they stand for.
#include "graft/peft/combine.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/io/tensors.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class CombineTest : public ::testing::Test {
 protected:
  /// An adapter's folder, with random values.
  WeightedAdapter written(const std::string& name, AdapterOptions options, double weight, uint64_t seed) {
    const auto model = random_model(tiny_config("llama"), {}, 5);
    graft_adapter(*model, name, options, seed);
    randomize(*model, name, 0.2, seed);
    write_adapter(folder_ / name, *model, name, options, "base");
    return {folder_ / name, weight};
  }

  /// scale * B A at each module: fp32 [out, in], or [dim, vocab] of an embedding.
  TensorMap updates(const std::filesystem::path& adapter) {
    const auto lora = std::get<LoraOptions>(read_adapter_options(adapter).options);
    const TensorMap tensors = read_adapter_tensors(adapter);
    TensorMap result;
    for (const auto& [key, a] : tensors)
      for (const auto& [a_name, b_name] : {std::pair<std::string, std::string>{".lora_A.weight", ".lora_B.weight"}, {".lora_embedding_A", ".lora_embedding_B"}})
        if (key.ends_with(a_name)) {
          const std::string module = key.substr(0, key.size() - a_name.size());
          result[module] = tensors.at(module + b_name).matmul(a) * lora.scale_at(module.substr(17));
        }
    return result;
  }

  TemporaryFolder folder_;
};

AdapterOptions lora(int rank, std::vector<std::string> targets, bool rslora = false) {
  LoraOptions options;
  options.rank = rank, options.alpha = 3, options.rslora = rslora;
  options.rank_pattern = {{"layers.0.self_attn.q_proj", rank + 1}};
  return {.target_modules = std::move(targets), .options = options};
}

TEST_F(CombineTest, TheSumIsExactOverModulesThatDiffer) {
  const std::vector<WeightedAdapter> adapters{written("one", lora(2, {"q_proj", "embed_tokens"}), 0.7, 1), written("two", lora(3, {"q_proj", "down_proj"}, true), -1.5, 2)};
  const Combination done = combine_adapters(adapters, std::nullopt, folder_ / "sum");
  EXPECT_EQ(done.rank, 7);       // 3 and 4 where the pattern is
  EXPECT_EQ(done.modules, 5);    // two q_proj, two down_proj, the embedding
  TensorMap expected;
  for (const auto& adapter : adapters)
    for (const auto& [module, update] : updates(adapter.folder)) {
      if (expected.contains(module)) expected[module] = expected[module] + adapter.weight * update;
      else expected[module] = adapter.weight * update;
    }
  const TensorMap sum = updates(folder_ / "sum");
  ASSERT_EQ(sum.size(), expected.size());
  for (const auto& [module, update] : expected) EXPECT_LT(difference(sum.at(module), update), 1e-6) << module;
  const auto model = random_model(tiny_config("llama"), {}, 5);
  load_adapter(*model, "sum", folder_ / "sum");   // and it is an adapter like any other
}

TEST_F(CombineTest, ALowerRankIsTheBestOne) {
  const WeightedAdapter one = written("one", lora(6, {"q_proj"}), 1, 1);
  const Combination done = combine_adapters({one}, 2, folder_ / "low");
  EXPECT_EQ(done.rank, 2);
  double left_out = 0, in_all = 0;
  const TensorMap whole = updates(one.folder), low = updates(folder_ / "low");
  for (const auto& [module, update] : whole) {
    const Tensor s = at::linalg_svdvals(update.to(at::kDouble));
    EXPECT_NEAR((update - low.at(module)).norm().item<double>(), s.slice(0, 2).norm().item<double>(), 1e-5) << module;
    left_out += s.slice(0, 2).square().sum().item<double>(), in_all += s.square().sum().item<double>();
  }
  EXPECT_NEAR(done.relative_error, std::sqrt(left_out / in_all), 1e-6);
  EXPECT_GT(done.relative_error, 0.1);
}

TEST_F(CombineTest, WhatIsNoPlainSumIsRefused) {
  AdapterOptions dora{.method = "dora", .options = DoraOptions{}};
  AdapterOptions whole = lora(2, {"q_proj"});
  whole.modules_to_save = {"norm"};
  const WeightedAdapter plain = written("plain", lora(2, {"q_proj"}), 1, 1);
  EXPECT_THROW(combine_adapters({written("dora", dora, 1, 1)}, std::nullopt, folder_ / "a"), RequestError);
  EXPECT_THROW(combine_adapters({plain, written("whole", whole, 1, 1)}, std::nullopt, folder_ / "b"), RequestError);
  EXPECT_THROW(combine_adapters({}, std::nullopt, folder_ / "c"), RequestError);
  combine_adapters({plain}, std::nullopt, folder_ / "d");
  EXPECT_THROW(combine_adapters({plain}, std::nullopt, folder_ / "d"), RequestError);   // never over what is there
  for (const char* name : {"a", "b", "c"}) EXPECT_FALSE(std::filesystem::exists(folder_ / name)) << name;
}

}  // namespace
}  // namespace graft::testing
