// Which modules an adapter takes, and its files.
#include <fstream>

#include "graft/core/error.h"
#include "graft/io/tensors.h"
#include "graft/peft/target_patterns.h"
#include "support/models.h"

namespace graft::testing {
namespace {

const std::string path = "model.layers.1.self_attn.q_proj";

TEST(Targets, FollowPeftsRule) {
  EXPECT_TRUE(matches(path, std::vector<std::string>{"q_proj"}));
  EXPECT_TRUE(matches(path, std::vector<std::string>{"self_attn.q_proj"}));
  EXPECT_TRUE(matches(path, std::vector<std::string>{path}));
  EXPECT_FALSE(matches(path, std::vector<std::string>{"proj"}));                 // not at a dot
  EXPECT_FALSE(matches(path, std::vector<std::string>{".*1.*q_proj"}));          // a list holds names
  EXPECT_TRUE(matches(path, std::string(".*1.*q_proj")));                        // a string is a regex ...
  EXPECT_FALSE(matches(path, std::string("q_proj")));                            // ... of the whole path
  EXPECT_EQ(layer_of(path), 1);
  EXPECT_EQ(layer_of("lm_head"), -1);
  EXPECT_TRUE(matches_pattern_key(path, "q_proj"));
  EXPECT_TRUE(matches_pattern_key(path, "layers.1.self_attn.[qk]_proj"));
  EXPECT_FALSE(matches_pattern_key(path, "_proj"));
}

std::vector<std::string> targets(AdapterOptions options, const char* family = "llama") {
  const auto model = random_model(tiny_config(family), {}, 1);
  std::vector<std::string> paths;
  for (const Site* site : target_sites(*model, options)) paths.push_back(site->path());
  return paths;
}

std::string refusal(const AdapterOptions& options) {
  try {
    targets(options);
    return "";
  } catch (const RequestError& e) {
    return e.what();
  }
}

TEST(Targets, AllLinearLeavesHeadAndNormsAlone) {
  const auto paths = targets({}, "qwen3");
  EXPECT_EQ(paths.size(), 14u);
  for (const auto& p : paths) EXPECT_TRUE(p.ends_with("_proj")) << p;
}

TEST(Targets, ExclusionsAndLayers) {
  AdapterOptions options;
  options.exclude_modules = std::vector<std::string>{"down_proj", "0.mlp.up_proj"};
  EXPECT_EQ(targets(options).size(), 11u);
  options.layers_to_transform = {1};
  EXPECT_EQ(targets(options).size(), 6u);
}

TEST(Targets, WhatMatchesNothingIsAnErrorWithTheNearestName) {
  AdapterOptions options;
  options.target_modules = std::vector<std::string>{"q_porj", "v_proj"};
  EXPECT_NE(refusal(options).find("did you mean 'q_proj'"), std::string::npos) << refusal(options);
  options.target_modules = std::vector<std::string>{".*q_proj"};
  EXPECT_NE(refusal(options).find("regex is given as one string"), std::string::npos);
  options.target_modules = std::vector<std::string>{"input_layernorm"};
  EXPECT_NE(refusal(options).find("does not adapt"), std::string::npos);
  options.target_modules = std::string("nothing");
  EXPECT_NE(refusal(options).find("leave no module"), std::string::npos);
}

TEST(Lora, RankAndAlphaPatternsAndScale) {
  const auto model = random_model(tiny_config("llama"), {}, 1);
  AdapterOptions options;
  LoraOptions lora;
  lora.rank = 8, lora.alpha = 16;
  lora.rank_pattern = {{"q_proj", 2}};
  lora.alpha_pattern = {{"layers.1.self_attn.q_proj", 6}};
  options.options = lora;
  graft_adapter(*model, "a", options, 1);
  at::NoGradGuard no_grad;
  for (auto& [name, tensor] : parameters(*model, "a")) tensor.fill_(1);
  const auto delta = [&](const char* p) { return dynamic_cast<LoraAdapter&>(*model->find_site(p)->adapter("a")).delta()[0][0].item<double>(); };
  EXPECT_DOUBLE_EQ(delta("model.layers.0.self_attn.q_proj"), 16.0 / 2 * 2);
  EXPECT_DOUBLE_EQ(delta("model.layers.1.self_attn.q_proj"), 6.0 / 2 * 2);
  EXPECT_DOUBLE_EQ(delta("model.layers.0.mlp.up_proj"), 16.0 / 8 * 8);   // field report 11: alpha / r times r ones
}

TEST(AdapterFile, MissingAndUnexpectedTensorsAreBothNamed) {
  TemporaryFolder folder;
  std::filesystem::copy(golden("llama") / "adapter", folder.path(), std::filesystem::copy_options::recursive);
  const auto file = folder / "adapter_model.safetensors";
  TensorMap tensors = load_tensors(file);
  const std::string gone = tensors.begin()->first;
  tensors.erase(gone);
  tensors["base_model.model.extra.lora_A.weight"] = at::zeros({1});
  save_tensors(file, tensors);
  const auto model = load_model(*open_model_files(golden("llama").string()), {});
  try {
    load_adapter(*model, "a", folder.path());
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("missing: " + gone.substr(17)), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("unexpected: extra"), std::string::npos);
  }
  EXPECT_TRUE(parameters(*model, "a").empty());   // nothing stays half seated
}

TEST(AdapterFile, FieldsThatWouldChangeTheResultAreRefused) {
  TemporaryFolder folder;
  std::filesystem::copy(golden("llama") / "adapter", folder.path(), std::filesystem::copy_options::recursive);
  const Json before = read_json(folder / "adapter_config.json");
  const auto with = [&](const char* key, const Json& value) -> std::string {
    Json config = before;
    config[key] = value;
    std::ofstream(folder / "adapter_config.json") << config.dump();
    try {
      read_adapter_options(folder.path());
      return "";
    } catch (const RequestError& e) {
      return e.what();
    }
  };
  EXPECT_NE(with("use_qalora", true).find("use_qalora"), std::string::npos);
  const Json apart = {{"embed_tokens", {1}}, {"lm_head", {2}}};
  EXPECT_NE(with("trainable_token_indices", apart).find("trainable_token_indices"), std::string::npos);
  EXPECT_NE(with("something_new", "on").find("something_new"), std::string::npos);
  EXPECT_EQ(with("something_new", nullptr), "");
  EXPECT_NE(with("peft_type", "OFT").find("OFT"), std::string::npos);
  EXPECT_NE(with("r", "eight").find("wrong type"), std::string::npos);
}

TEST(AdapterFile, ValuesThatAreNotFiniteAreNeverWrittenOrMerged) {
  TemporaryFolder folder;
  const auto model = random_model(tiny_config("llama"), {}, 1);
  graft_adapter(*model, "a", {}, 1);
  {
    at::NoGradGuard no_grad;
    parameters(*model, "a").front().tensor.fill_(std::numeric_limits<float>::infinity());
  }
  EXPECT_THROW(write_adapter(folder / "out", *model, "a", {}, "base"), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST(AdapterFolder, PicklesAreRefusedWithTheCommandThatConvertsThem) {
  for (const char* pickle : {"adapter_model.bin", "pytorch_adapter.bin", "adapter.ckpt", "adapter.pt", "adapter.pth"}) {
    TemporaryFolder folder;
    std::ofstream(folder / pickle) << "";
    try {
      read_adapter_tensors(folder.path());
      FAIL() << pickle;
    } catch (const RequestError& e) {
      for (const char* part : {pickle, "can run code", "python -c"}) EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace graft::testing
