// What a config.json may say, and what is refused by name.
#include <fstream>

#include "support/models.h"

#include "graft/core/error.h"
#include "graft/models/family.h"

namespace graft::testing {
namespace {

std::string refusal(const Json& config) {
  try {
    outline_model(config);
    return "";
  } catch (const RequestError& e) {
    return e.what();
  }
}

TEST(Config, EveryFamilyTakesItsOwn) {
  for (const Family* family : families()) EXPECT_EQ(refusal(tiny_config(std::string(family->name))), "") << family->name;
}

TEST(Config, WhatGraftDoesNotDoIsNamed) {
  const auto with = [](const char* family, const char* key, const Json& value) {
    Json config = tiny_config(family);
    config[key] = value;
    return refusal(config);
  };
  EXPECT_NE(with("llama", "model_type", "lama").find("did you mean 'llama'"), std::string::npos);
  EXPECT_NE(with("llama", "rope_scaling", {{"rope_type", "proportional"}, {"factor", 2.0}}).find("proportional"), std::string::npos);
  EXPECT_NE(with("llama", "rope_scaling", {{"rope_type", "linear"}, {"mrope_section", {1, 2}}}).find("mrope_section"), std::string::npos);
  EXPECT_NE(with("llama", "rope_scaling", {{"rope_type", "longrope"}, {"short_factor", {1, 1, 1}}, {"long_factor", {1, 2, 3}}}).find("3 factors for 4"), std::string::npos);
  EXPECT_NE(with("llama", "partial_rotary_factor", 0.5).find("partial_rotary_factor"), std::string::npos);
  EXPECT_NE(with("phi3", "rope_scaling", {{"type", "linear"}, {"factor", 2.0}}).find("phi3's"), std::string::npos);
  EXPECT_NE(with("phi3", "partial_rotary_factor", 0.4).find("pairs"), std::string::npos);
  EXPECT_NE(with("llama", "num_local_experts", 8).find("num_local_experts"), std::string::npos);
  EXPECT_NE(with("mistral", "layer_types", {"full_attention", "full_attention"}).find("layer_types"), std::string::npos);
  EXPECT_NE(with("ministral", "layer_types", {"full_attention"}).find("1 layers of 2"), std::string::npos);
  EXPECT_NE(with("qwen3", "layer_types", {"full_attention", "chunked_attention"}).find("chunked_attention"), std::string::npos);
  EXPECT_NE(with("qwen2", "layer_types", {"full_attention", "sliding_attention"}).find("no sliding_window"), std::string::npos);   // not used
  EXPECT_NE(with("gemma2", "use_bidirectional_attention", true).find("use_bidirectional_attention"), std::string::npos);
  EXPECT_NE(with("gemma3_text", "attn_logit_softcapping", 30.0).find("attn_logit_softcapping"), std::string::npos);
  EXPECT_NE(with("gpt2", "scale_attn_by_inverse_layer_idx", true).find("scale_attn_by_inverse_layer_idx"), std::string::npos);
  EXPECT_NE(with("gpt2", "add_cross_attention", true).find("add_cross_attention"), std::string::npos);
  EXPECT_NE(with("smollm3", "no_rope_layers", {1}).find("1 layers of 2"), std::string::npos);
  EXPECT_NE(with("llama", "hidden_act", "gelu").find("hidden_act"), std::string::npos);
  EXPECT_NE(with("llama", "residual_multiplier", 0.22).find("residual_multiplier"), std::string::npos);
  EXPECT_NE(with("llama", "hidden_size", "many").find("hidden_size"), std::string::npos);
  EXPECT_NE(with("bert", "position_embedding_type", "relative_key").find("position_embedding_type"), std::string::npos);
  EXPECT_NE(with("bert", "is_decoder", true).find("is_decoder"), std::string::npos);
  EXPECT_NE(with("roberta", "add_cross_attention", true).find("add_cross_attention"), std::string::npos);
  EXPECT_NE(with("bert", "hidden_act", "silu").find("gelu_new"), std::string::npos);
  EXPECT_NE(with("roberta", "embedding_size", 16).find("embedding_size"), std::string::npos);
  EXPECT_EQ(with("qwen2", "sliding_window", 4096), "");   // switched off by use_sliding_window
}

TEST(Config, AllFaultsAreReportedAtOnce) {
  Json config = tiny_config("llama");
  config.erase("vocab_size");
  config["hidden_act"] = "gelu";
  const std::string text = refusal(config);
  EXPECT_NE(text.find("vocab_size"), std::string::npos);
  EXPECT_NE(text.find("hidden_act"), std::string::npos);
}

TEST(Config, WeightsThatDoNotFitAreAllNamed) {
  TemporaryFolder folder;
  std::filesystem::copy(golden("qwen2"), folder.path(), std::filesystem::copy_options::recursive);
  Json config = read_json(folder / "config.json");
  config["model_type"] = "llama";   // no biases by default: the file's would be dropped
  config["intermediate_size"] = 41;
  for (const char* key : {"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"}) config.erase(key);
  std::ofstream(folder / "config.json") << config.dump();
  try {
    load_model(*open_model_files(folder.path().string()), {});
    FAIL() << "loaded";
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("q_proj.bias"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("gate_proj.weight: shape"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace graft::testing
