// Which tools can load an adapter, and why not.
#include "../recipes/loaders.h"

#include "graft/peft/graft_adapter.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class Loads : public ::testing::Test {
 protected:
  /// What vLLM and llama.cpp have against an adapter of these options.
  std::vector<std::string> reasons(const std::string& name, const AdapterOptions& options) const {
    Target what;
    what.model.path = golden(name).string(), what.adapter = options;
    const auto files = open_model_files(what.model.path);
    const auto outline = outline_model(*files);
    graft_adapter(*outline, "default", options, 1);
    std::vector<std::string> all;
    for (const Loader& loader : loaders_of(what, files->config(), *outline, "default"))
      all.push_back(fmt::format("{}", fmt::join(loader.reasons, "; ")));
    return all;
  }
};

TEST_F(Loads, PlainLoraOnAllLinearsLoadsInBoth) { EXPECT_EQ(reasons("llama", {}), (std::vector<std::string>{"", ""})); }

TEST_F(Loads, WhatAToolDoesNotTakeIsNamed) {
  const auto says = [&](const std::string& name, const AdapterOptions& options, std::string_view of_vllm,
                        std::string_view of_llama_cpp) {
    const auto found = reasons(name, options);
    EXPECT_TRUE(of_vllm.empty() ? found[0].empty() : found[0].find(of_vllm) != std::string::npos) << found[0];
    EXPECT_TRUE(of_llama_cpp.empty() ? found[1].empty() : found[1].find(of_llama_cpp) != std::string::npos) << found[1];
  };
  const std::vector<std::string> head = {"lm_head"}, q = {"q_proj"};
  says("llama", {.method = "dora", .options = DoraOptions{}}, "not dora", "more than a low-rank update");
  says("llama", {.modules_to_save = {"embed_tokens"}}, "no modules_to_save (embed_tokens)",
       "model.embed_tokens hold more than a low-rank update");
  says("llama", {.target_modules = head}, "no LoRA on the vocabulary (lm_head)", "the head is the embedding");
  says("llama", {.target_modules = std::vector<std::string>{"embed_tokens"}}, "(model.embed_tokens)",
       "LoRA on model.embed_tokens is for one");
  LoraOptions wide;
  wide.rank = 600;
  says("llama", {.target_modules = q, .options = wide}, "largest rank is 512, this one is 600", "");
  LoraOptions patterned;
  patterned.rank_pattern = {{"v_proj", 4}};
  says("llama", {.target_modules = std::vector<std::string>{"q_proj", "v_proj"}, .options = patterned}, "ranks are 4, 8", "");
  says("gpt2", {}, "does not know that it takes LoRA for gpt2", "");
  says("ministral", {}, "ministral", "no form of ministral");
}

}  // namespace
}  // namespace graft::testing
