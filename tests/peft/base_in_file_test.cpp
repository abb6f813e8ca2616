// What other tools' files say of the base beside the adapter: never passed over where it changes the result.
#include <fstream>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/tensors.h"
#include "graft/nn/layers.h"
#include "support/models.h"

namespace graft::testing {
namespace {

/// A folder as graft writes it, to be changed as other tools would have written it.
struct Folder {
  Folder(const Json& model_config, const AdapterOptions& options) : model(random_model(model_config, {}, 1)) {
    graft_adapter(*model, "a", options, 1);
    randomize(*model, "a");
    write_adapter(folder.path(), *model, "a", options, "base");
    values = parameter_values(*model, "a");
    for (auto& [key, tensor] : values) tensor = tensor.clone();
    remove_adapter(*model, "a");
  }
  std::filesystem::path file() const {
    const auto peft = folder / "adapter_model.safetensors";
    return std::filesystem::exists(peft) ? peft : folder / "adapter.safetensors";
  }
  TensorMap tensors() const {
    TensorMap read = load_tensors(file());
    for (auto& [key, tensor] : read) tensor = tensor.clone();   // off the file, which is written anew
    return read;
  }
  Json config() const { return read_json(folder / "adapter_config.json"); }
  void set(const std::string& key, const Json& value) const {
    Json changed = config();
    changed[key] = value;
    std::ofstream(folder / "adapter_config.json") << changed.dump();
  }
  /// "" and the same values as before, or why not.
  std::string loaded() const {
    try {
      load_adapter(*model, "a", folder.path());
    } catch (const RequestError& e) {
      return e.what();
    }
    for (const auto& [key, tensor] : parameter_values(*model, "a")) EXPECT_TRUE(at::equal(tensor, values.at(key))) << key;
    EXPECT_EQ(parameters(*model, "a").size(), values.size());
    remove_adapter(*model, "a");
    return "";
  }
  TemporaryFolder folder;
  std::shared_ptr<Transformer> model;
  TensorMap values;
};

Json tied_config() {
  Json config = tiny_config("llama");
  config["tie_word_embeddings"] = true;
  return config;
}

TEST(BaseInFile, FirstValuesThatTookAPartOutOfTheBaseAreRefused) {
  const Folder folder(tiny_config("llama"), {});
  for (const char* init : {"pissa", "pissa_niter_4", "olora", "corda", "lora_ga"}) {
    folder.set("init_lora_weights", init);
    EXPECT_NE(folder.loaded().find(init), std::string::npos);
  }
  for (const Json& init : {Json("gaussian"), Json(true), Json(false), Json("loftq")}) {
    folder.set("init_lora_weights", init);
    EXPECT_EQ(folder.loaded(), "");
  }
}

TEST(BaseInFile, TheBasesOwnWeightBesideAnAdaptedEmbeddingHasToBeThisBases) {
  AdapterOptions options;
  options.target_modules = std::vector<std::string>{"embed_tokens", "q_proj"};
  const Folder folder(tied_config(), options);
  const std::string key = "base_model.model.model.embed_tokens.base_layer.weight";
  TensorMap tensors = folder.tensors();
  const Tensor base = folder.model->first_site(SiteKind::embedding)->weight()->dense(at::kFloat).clone();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    tensors[key] = base.to(type);
    save_tensors(folder.file(), tensors);
    EXPECT_EQ(folder.loaded(), "");
  }
  tensors[key] = base.clone();
  tensors[key][3][5] += 0.5;
  save_tensors(folder.file(), tensors);
  EXPECT_NE(folder.loaded().find("is not this base's"), std::string::npos);
}

TEST(BaseInFile, ATiedHeadFollowsAnEmbeddingTrainedWholeAndTheFileSaysSo) {
  AdapterOptions options;
  options.modules_to_save = {"embed_tokens"};
  const Folder folder(tied_config(), options);
  EXPECT_EQ(folder.config().at("ensure_weight_tying"), true);
  TensorMap tensors = folder.tensors();
  const std::string head = "base_model.model.lm_head.weight";
  EXPECT_TRUE(at::equal(tensors.at(head), tensors.at("base_model.model.model.embed_tokens.weight")));
  EXPECT_EQ(folder.loaded(), "");

  folder.set("ensure_weight_tying", false);   // PEFT's head would stay the base's
  EXPECT_NE(folder.loaded().find("apart from the head"), std::string::npos);
  folder.set("ensure_weight_tying", true);
  tensors[head][0][0] += 1;
  save_tensors(folder.file(), tensors);
  EXPECT_NE(folder.loaded().find("differ"), std::string::npos);
  tensors.erase(head);
  save_tensors(folder.file(), tensors);
  EXPECT_EQ(folder.loaded(), "");
}

TEST(BaseInFile, WherePeftKnowsNoTyingItIsSaid) {
  for (const auto& [method, warned] : {std::pair{"lora", false}, {"dora", false}, {"ia3", true}, {"vera", true}, {"houlsby", false}}) {
    AdapterOptions options{.method = method, .modules_to_save = {"embed_tokens"}};
    options.select_options();
    std::string said;
    const auto model = random_model(tied_config(), {}, 3);
    graft_adapter(*model, "a", options, GraftSetting{}, Log([&](LogLevel level, const std::string& text) { said += level == LogLevel::warning ? text : ""; }));
    EXPECT_EQ(said.find("its head stays the base's") != std::string::npos, warned) << method;
  }
}

TEST(BaseInFile, TyingOfOtherAdaptersIsRefused) {
  AdapterOptions options;
  options.target_modules = std::vector<std::string>{"embed_tokens"};
  const Folder folder(tied_config(), options);
  folder.set("ensure_weight_tying", true);
  EXPECT_NE(folder.loaded().find("alone"), std::string::npos);
}

TEST(BaseInFile, PeftsModulesToSaveMayEndWithinAWord) {
  AdapterOptions options;
  options.modules_to_save = {"input_layernorm", "post_attention_layernorm", "norm"};
  const Folder folder(tiny_config("llama"), options);
  folder.set("modules_to_save", Json::array({"norm"}));
  EXPECT_EQ(folder.loaded(), "");
}

TEST(BaseInFile, BesideAPromptPeftNamesTheModelsModulesWithoutItsWrapper) {
  for (const char* method : {"prompt_tuning", "p_tuning_v2"}) {
    AdapterOptions options;
    options.method = method, options.modules_to_save = {"input_layernorm"};
    options.select_options();
    const Folder folder(tiny_config("llama"), options);
    const TensorMap tensors = folder.tensors();
    EXPECT_EQ(tensors.size(), 3u) << method;
    EXPECT_TRUE(tensors.contains("prompt_embeddings") && tensors.contains("base_model.model.layers.1.input_layernorm.weight")) << method;
    EXPECT_EQ(folder.loaded(), "");
  }
}

TEST(BaseInFile, AdapterHubKnowsANormBeforeTheBottleneckByTwoNames) {
  AdapterOptions options;
  options.method = "houlsby";
  options.select_options();
  std::get<HoulsbyOptions>(options.options).ln_before = true;
  const Folder folder(tiny_config("llama"), options);
  TensorMap tensors = folder.tensors();
  const std::string second = "model.layers.0.output_adapters.adapters.a.adapter_norm_before.weight";
  EXPECT_TRUE(at::equal(tensors.at(second), tensors.at("model.layers.0.output_adapters.adapters.a.adapter_down.0.weight")));
  EXPECT_EQ(folder.loaded(), "");
  tensors[second] += 1;
  save_tensors(folder.file(), tensors);
  EXPECT_NE(folder.loaded().find("differ"), std::string::npos);
}

TEST(BaseInFile, AdapterHubSavesTheBasesHeadBesideAnAdapterAndAHeadlessModelsShortNames) {
  AdapterOptions options;
  options.method = "pfeiffer";
  options.select_options();
  const Folder folder(tiny_config("llama"), options);
  TensorMap head;
  head["lm_head.weight"] = folder.model->vocabulary_head()->weight()->dense(at::kFloat).clone();
  save_tensors(folder.folder / "model_head.safetensors", head);
  EXPECT_EQ(folder.loaded(), "");
  head["lm_head.weight"][0][0] += 1;
  save_tensors(folder.folder / "model_head.safetensors", head);
  EXPECT_NE(folder.loaded().find("another lm_head"), std::string::npos);
  std::filesystem::remove(folder.folder / "model_head.safetensors");

  TensorMap shorter;
  for (const auto& [key, tensor] : folder.tensors()) shorter[key.substr(std::string("model.").size())] = tensor;
  save_tensors(folder.file(), shorter);
  EXPECT_EQ(folder.loaded(), "");
}

}  // namespace
}  // namespace graft::testing
