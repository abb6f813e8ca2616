// What is particular to a family's files and texts; that it computes as transformers does is the goldens' business.
#include "graft/io/tensors.h"
#include "graft/models/generate.h"
#include "support/models.h"

#include "graft/core/error.h"

namespace graft::testing {
namespace {

Batch one_text(const std::vector<int64_t>& ids) {
  Batch batch;
  batch.ids = at::tensor(ids, at::kLong).unsqueeze(0).to(test_device());
  batch.positions = at::arange(batch.ids.size(1), batch.ids.options()).unsqueeze(0);
  batch.segments = at::zeros_like(batch.ids);
  return batch;
}

/// Tokens that repeat nothing cached: each is the likeliest of a whole pass.
std::vector<int32_t> without_cache(Transformer& model, const std::vector<int32_t>& prompt, int64_t count) {
  at::NoGradGuard no_grad;
  std::vector<int64_t> ids(prompt.begin(), prompt.end());
  for (int64_t n = 0; n < count; ++n) ids.push_back(logits(model, one_text(ids))[0][-1].argmax().item<int64_t>());
  return {ids.end() - count, ids.end()};
}

/// Windows are passed on the way, and the lengths at which frequencies change.
TEST(Families, TokensOverTheCacheAreThoseOfWholePasses) {
  for (const char* name : {"mistral_window", "ministral", "gemma2", "gemma3_text", "phi3_longrope", "llama_dynamic", "llama_yarn", "gpt2", "smollm3"}) {
    const auto model = load_model(*open_model_files(golden(name).string()), {test_device(), at::kFloat, {}});
    const std::vector<std::vector<int32_t>> prompts = {{5, 9, 2, 30, 11}, {7, 1, 8, 8, 3, 21, 4, 17, 30, 2, 6}};
    const auto made = generate(*model, "", prompts, {}, {.max_new_tokens = 14});
    for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(made[i], without_cache(*model, prompts[i], 14)) << name << " " << i;
  }
}

TEST(Families, ATableOfPositionsEnds) {
  const auto model = load_model(*open_model_files(golden("gpt2").string()), {test_device(), at::kFloat, {}});   // 32 positions
  EXPECT_EQ(generate(*model, "", {{1, 2, 3}}, {}, {.max_new_tokens = 30})[0].size(), 30u);
  EXPECT_THROW(generate(*model, "", {{1, 2, 3}}, {}, {.max_new_tokens = 31}), RequestError);
}

/// As the first GPT-2 files have it: no prefix, and causal masks among the tensors.
TEST(Families, Gpt2WithoutItsPrefixIsTheSameModel) {
  TemporaryFolder folder;
  std::filesystem::copy(golden("gpt2"), folder.path(), std::filesystem::copy_options::recursive);
  TensorMap bare;
  for (const auto& [name, tensor] : load_tensors(folder / "model.safetensors")) bare[name.substr(std::string("transformer.").size())] = tensor;
  bare["h.0.attn.bias"] = at::ones({1, 1, 32, 32}).tril();
  save_tensors(folder / "model.safetensors", bare, {{"format", "pt"}});
  const auto files = open_model_files(folder.path().string()), whole = open_model_files(golden("gpt2").string());
  EXPECT_EQ(files->shape("transformer.h.0.mlp.c_fc.weight"), (std::vector<int64_t>{20, 24}));   // [out, in], whatever the file has
  const Batch batch = one_text({4, 8, 15, 16, 23});
  at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(logits(*load_model(*files, {}), batch), logits(*load_model(*whole, {}), batch)));
}

TEST(Families, ConvOneDimensionalAdaptersSaySo) {
  TemporaryFolder folder;
  for (const std::string family : {"gpt2", "llama"}) {
    const auto model = random_model(tiny_config(family), {}, 5);
    graft_adapter(*model, "a", {}, 1);
    write_adapter(folder / family, *model, "a", {}, "base");
    EXPECT_EQ(read_json(folder / family / "adapter_config.json")["fan_in_fan_out"], family == "gpt2");
    EXPECT_NO_THROW(read_adapter_options(folder / family));
  }
}

/// 1 + 3e-3 is 1 in bf16; what it multiplies is not.
TEST(Families, GemmasNormsKeepSmallWeights) {
  const auto model = random_model(tiny_config("gemma"), {test_device(), at::kBFloat16, {}}, 5);
  const Site* norm = model->first_site(SiteKind::norm);
  const Tensor x = batch_of({48}, 97).ids.to(at::kBFloat16), small = at::full({48}, 3e-3, x.options().dtype(at::kFloat));
  EXPECT_GT(difference(norm->apply(x, {small, {}}), norm->apply(x, {at::zeros_like(small), {}})), 0);
}

}  // namespace
}  // namespace graft::testing
