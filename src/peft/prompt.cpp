#include "graft/peft/prompt.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/kernels/api.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"
#include "prompt_encoder.h"

namespace graft {
namespace {

constexpr int64_t common_tokens = 5000;   // a vocabulary's first ids are its most frequent tokens (Lester et al. sample among these)

/// Fills the slots of virtual tokens: ids -1, -2, ... are rows 0, 1, ... of the prompt.
class PromptAdapter : public Adapter {
 public:
  PromptAdapter(const Site& site, Tensor vectors) { prompt_ = register_parameter("prompt_embeddings", vectors.to(adapter_options(site)).clone()); }
  PromptAdapter(const Site& site, int64_t length, int64_t hidden, uint64_t seed) {
    encoder_ = register_module("prompt_encoder", std::make_shared<PromptEncoder>(site, length, site.weight()->in_features(), hidden, seed));
  }
  Tensor forward(const Tensor& ids, const Frozen& base, const Batch&) override {
    const Tensor rows = base(ids), slots = ids.lt(0);
    const Tensor filled = at::embedding(vectors(), (-1 - ids).clamp_min(0)).to(rows.scalar_type());
    return at::where(slots.unsqueeze(-1), filled, rows);
  }
  int64_t virtual_tokens() const override { return encoder_ ? encoder_->length() : prompt_.size(0); }
  Tensor vectors() const { return encoder_ ? encoder_->forward() : prompt_; }

 private:
  Tensor prompt_;   // fp32 [length, dim]
  std::shared_ptr<PromptEncoder> encoder_;
};

class PromptMethod : public Method {
 public:
  bool usual(const Site& site) const override { return site.role() == Role::words; }
  bool merges() const override { return false; }
  std::string_view first_effect() const override { return "its virtual tokens take part in attention from the start"; }
  FileForm file_form() const override { return FileForm::peft; }
  std::string_view file_prefix() const override { return "base_model."; }

  /// What a prompt is to whoever loads it: the vectors, however they were made.
  TensorMap exported(const Transformer& model, const std::string& name) const override {
    at::NoGradGuard no_grad;
    TensorMap tensors = Method::exported(model, name);
    std::erase_if(tensors, [](const auto& item) { return item.first.find(".prompt_") != std::string::npos; });
    tensors["prompt_embeddings"] = seated(model, name).vectors().detach().clone();
    return tensors;
  }
  void import(Transformer& model, const std::string& name, const TensorMap& given, const std::string& what) const override {
    TensorMap tensors = given;
    if (auto prompt = tensors.extract("prompt_embeddings"); !prompt.empty()) {
      prompt.key() = std::string(file_prefix()) + model.first_site(SiteKind::embedding)->path() + ".prompt_embeddings";
      tensors.insert(std::move(prompt));
    }
    Method::import(model, name, tensors, what);
  }

 protected:
  static const PromptAdapter& seated(const Transformer& model, const std::string& name) {
    return dynamic_cast<const PromptAdapter&>(*model.first_site(SiteKind::embedding)->adapter(name));
  }
  static Json prompt_config(const Transformer& model, const char* type, int length) {
    return {{"peft_type", type}, {"num_virtual_tokens", length}, {"token_dim", model.hidden_size()}, {"num_transformer_submodules", 1},
            {"num_layers", model.layers()}, {"num_attention_heads", nullptr}, {"modules_to_save", nullptr}};
  }
};

/// Ids of tokens to begin as: as many as the prompt is long.
std::vector<int64_t> sampled_ids(int64_t length, int64_t vocabulary, uint64_t seed) {
  std::vector<float> random(static_cast<size_t>(length));
  kernels::uniform_cpu(random.data(), length, 0.5f, seed, static_cast<uint32_t>(hash_of("prompt.sampled_ids")));
  std::vector<int64_t> ids;
  for (const float r : random) ids.push_back(static_cast<int64_t>((static_cast<double>(r) + 0.5) * static_cast<double>(std::min(vocabulary, common_tokens))));
  return ids;
}

class PromptTuning : public PromptMethod {
 public:
  explicit PromptTuning(const PromptTuningOptions& options) : options_(options) {
    require(options.init != "text" || !options.init_text.empty(), "adapter.init: text needs adapter.init_text");
    require(options.init == "text" || options.init_text.empty(), "adapter.init_text is for adapter.init: text");
  }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override { return std::make_shared<PromptAdapter>(site, first_vectors(site, setting)); }
  Json file_config(const Transformer& model, const std::string&) const override {
    Json config = prompt_config(model, "PROMPT_TUNING", options_.num_virtual_tokens);
    config["prompt_tuning_init"] = "RANDOM";   // its values are in the file
    return config;
  }

 private:
  Tensor first_vectors(const Site& site, const GraftSetting& setting) const {
    const int64_t length = options_.num_virtual_tokens, dim = site.weight()->in_features();
    if (!setting.fresh || site.device().is_meta()) return at::zeros({length, dim});
    if (options_.init == "random") return uniform_values({length, dim}, 0.5, setting.seed, "prompt.random");
    const auto rows = [&](const std::vector<int64_t>& ids) { return site.frozen(at::tensor(ids, at::TensorOptions(at::kLong).device(site.device()))).to(at::kFloat); };
    Tensor vectors = rows(sampled_ids(length, site.weight()->out_features(), setting.seed));
    if (options_.init == "text") return rows(text_ids(setting, length));
    if (options_.init == "labels") put_labels(vectors, setting, rows);
    return vectors;
  }
  std::vector<int64_t> text_ids(const GraftSetting& setting, int64_t length) const {
    require(setting.tokenizer, "adapter.init: text needs the base's tokenizer");
    const auto ids = setting.tokenizer->encode(options_.init_text);
    require(!ids.empty(), "adapter.init_text has no token");
    std::vector<int64_t> repeated;
    for (int64_t i = 0; i < length; ++i) repeated.push_back(ids[static_cast<size_t>(i) % ids.size()]);
    return repeated;
  }
  /// Section 3.2 of the paper: each label's tokens, averaged where there are several; what is left of the prompt stays sampled.
  template <class Rows>
  void put_labels(Tensor& vectors, const GraftSetting& setting, const Rows& rows) const {
    require(setting.tokenizer && !setting.labels.empty(), "adapter.init: labels needs data with labels (a few distinct answers)");
    for (size_t i = 0; i < setting.labels.size() && static_cast<int64_t>(i) < vectors.size(0); ++i) {
      const auto ids = setting.tokenizer->encode(setting.labels[i]);
      if (!ids.empty()) vectors[static_cast<int64_t>(i)] = rows({ids.begin(), ids.end()}).mean(0);
    }
  }
  PromptTuningOptions options_;
};

class PTuning : public PromptMethod {
 public:
  explicit PTuning(const PTuningOptions& options) : options_(options) {}
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const int64_t length = options_.num_virtual_tokens;
    if (options_.encoder_hidden_size > 0) return std::make_shared<PromptAdapter>(site, length, options_.encoder_hidden_size, setting.seed);
    return std::make_shared<PromptAdapter>(site, normal_values({length, site.weight()->in_features()}, 1, setting.seed, "prompt.p_tuning"));
  }
  Json file_config(const Transformer& model, const std::string&) const override {
    Json config = prompt_config(model, "P_TUNING", options_.num_virtual_tokens);
    config["encoder_reparameterization_type"] = "MLP", config["encoder_hidden_size"] = options_.encoder_hidden_size > 0 ? Json(options_.encoder_hidden_size) : Json(128);
    config["encoder_num_layers"] = 2, config["encoder_dropout"] = 0.0;
    return config;
  }

 private:
  PTuningOptions options_;
};

}  // namespace

const MethodRow prompt_tuning_method = {
    "prompt_tuning", "trained vectors in front of the input", {3e-1, 1e-3, 5}, make_method_of<PromptTuning, PromptTuningOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "PROMPT_TUNING"; },
    [](PeftFields& fields) -> MethodOptions {
      PromptTuningOptions options;
      fields.take("num_virtual_tokens", options.num_virtual_tokens);
      return options;
    }};
const MethodRow p_tuning_method = {
    "p_tuning", "vectors in front of the input, made by a trained MLP", {1e-3, 1e-5, 1e-1}, make_method_of<PTuning, PTuningOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "P_TUNING"; },
    [](PeftFields& fields) -> MethodOptions {
      PTuningOptions options{.encoder_hidden_size = 0};   // the file holds what the encoder made
      fields.take("num_virtual_tokens", options.num_virtual_tokens);
      return options;
    }};

}  // namespace graft
