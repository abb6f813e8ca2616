#include "graft/peft/prefix.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/nn/layers.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

/// What all layers of a projected prefix share: the small matrix and the MLP's first layer.
struct PrefixTrunk : torch::nn::Module {
  PrefixTrunk(const at::TensorOptions& where, int64_t length, int64_t dim, int64_t hidden, uint64_t seed) {
    embedding = register_parameter("embedding", normal_values({length, dim}, 1, seed, "prefix.embedding").to(where));
    weight = register_parameter("weight", kaiming_values({hidden, dim}, seed, "prefix.weight").to(where));
    bias = register_parameter("bias", at::zeros({hidden}, where));
  }
  Tensor forward() const { return at::tanh(at::linear(embedding, weight, bias)); }   // [length, hidden]
  Tensor embedding, weight, bias;
};

/// One layer's keys and values: [length, 2, kv_heads, head_dim], trained themselves or made from the trunk by the MLP's last layer.
class PrefixAdapter : public Adapter {
 public:
  PrefixAdapter(const KeyValueSeat& seat, Tensor values) : seat_(seat) { prefix_ = register_parameter("prefix", values.to(adapter_options(seat)).clone()); }
  PrefixAdapter(const KeyValueSeat& seat, std::shared_ptr<PrefixTrunk> trunk, uint64_t seed) : seat_(seat), trunk_(register_module("trunk", std::move(trunk))) {
    const int64_t width = 2 * seat.kv_heads() * seat.head_dim(), hidden = trunk_->weight.size(0);
    weight_ = register_parameter("projection_weight", kaiming_values({width, hidden}, seed, seat.path() + ".projection").to(adapter_options(seat)));
    bias_ = register_parameter("projection_bias", at::zeros({width}, adapter_options(seat)));
  }
  Tensor forward(const Tensor& x, const Frozen&, const Batch&) override {   // x: [batch, 0, 2, kv_heads, head_dim]
    return values().to(x.scalar_type()).unsqueeze(0).expand({x.size(0), -1, -1, -1, -1});
  }
  int64_t virtual_tokens() const override { return trunk_ ? trunk_->embedding.size(0) : prefix_.size(0); }
  Tensor values() const {
    const Tensor flat = trunk_ ? at::linear(trunk_->forward(), weight_, bias_) : prefix_;
    return flat.view({virtual_tokens(), 2, seat_.kv_heads(), seat_.head_dim()});
  }

 private:
  const KeyValueSeat& seat_;
  std::shared_ptr<PrefixTrunk> trunk_;
  Tensor prefix_, weight_, bias_;
};

class PrefixMethod : public Method {
 public:
  PrefixMethod(int64_t length, int64_t hidden) : length_(length), hidden_(hidden) {}
  bool usual(const Site& site) const override { return site.kind() == SiteKind::key_value; }
  bool merges() const override { return false; }
  std::string_view first_effect() const override { return "its keys and values take part in attention from the start"; }

  void prepare(const Transformer& model, const std::vector<Site*>& sites, const GraftSetting& setting) override {
    size_t layers = 0;
    for (const Site* site : model.sites()) layers += site->kind() == SiteKind::key_value;
    require(sites.size() == layers, "a prefix sits at every layer; adapter.layers_to_transform and exclude_modules do not go with it");
    if (hidden_ == 0) return;
    const auto& seat = dynamic_cast<const KeyValueSeat&>(*sites.front());
    trunk_ = std::make_shared<PrefixTrunk>(adapter_options(seat), length_, seat.kv_heads() * seat.head_dim(), hidden_, setting.seed);
  }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const auto& seat = dynamic_cast<const KeyValueSeat&>(site);
    if (trunk_) return std::make_shared<PrefixAdapter>(seat, trunk_, setting.seed);
    return std::make_shared<PrefixAdapter>(seat, normal_values({length_, 2 * seat.kv_heads() * seat.head_dim()}, first_deviation, setting.seed, site.path() + ".prefix"));
  }

  FileForm file_form() const override { return FileForm::peft; }
  std::string_view file_prefix() const override { return "base_model."; }
  Json file_config(const Transformer& model, const std::string&) const override {
    const auto& seat = dynamic_cast<const KeyValueSeat&>(*model.first_site(SiteKind::key_value));
    return {{"peft_type", "PREFIX_TUNING"}, {"num_virtual_tokens", length_}, {"token_dim", seat.kv_heads() * seat.head_dim()}, {"num_transformer_submodules", 1},
            {"num_layers", model.layers()}, {"num_attention_heads", seat.kv_heads()}, {"prefix_projection", false}, {"encoder_hidden_size", nullptr}, {"modules_to_save", nullptr}};
  }
  /// One tensor: [length, layers * 2 * width], a layer's keys, then its values.
  TensorMap exported(const Transformer& model, const std::string& name) const override {
    at::NoGradGuard no_grad;
    TensorMap tensors = Method::exported(model, name);
    std::vector<Tensor> layers;
    for (const Site* site : model.sites()) {
      if (site->kind() != SiteKind::key_value) continue;
      const std::string own = std::string(file_prefix()) + site->path() + ".";
      std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(own + "p") || item.first.starts_with(own + "trunk"); });
      layers.push_back(dynamic_cast<const PrefixAdapter&>(*site->adapter(name)).values().flatten(1));
    }
    tensors["prompt_embeddings"] = at::cat(layers, 1);
    return tensors;
  }
  void import(Transformer& model, const std::string& name, const TensorMap& given, const std::string& what) const override {
    TensorMap tensors = given;
    const auto prompt = tensors.extract("prompt_embeddings");
    if (!prompt.empty()) {
      const Tensor& all = prompt.mapped();
      require(all.dim() == 2 && all.size(1) % model.layers() == 0, "{}: prompt_embeddings is [{}]; expected [length, {} layers * 2 * width]", what, fmt::join(all.sizes(), ", "), model.layers());
      int64_t layer = 0;
      for (const Site* site : model.sites())
        if (site->kind() == SiteKind::key_value) tensors[std::string(file_prefix()) + site->path() + ".prefix"] = all.chunk(model.layers(), 1)[static_cast<size_t>(layer++)].contiguous();
    }
    Method::import(model, name, tensors, what);
  }

 private:
  static constexpr double first_deviation = 0.02;
  int64_t length_, hidden_;
  std::shared_ptr<PrefixTrunk> trunk_;
};

struct PrefixTuning : PrefixMethod {
  explicit PrefixTuning(const PrefixTuningOptions& options) : PrefixMethod(options.num_virtual_tokens, options.encoder_hidden_size) {}
};
struct DeepPrompts : PrefixMethod {
  explicit DeepPrompts(const DeepPromptOptions& options) : PrefixMethod(options.num_virtual_tokens, 0) {}
};

}  // namespace

const MethodRow prefix_tuning_method = {"prefix_tuning", "keys and values in front of every attention's own, made by a trained MLP", {1e-3, 1e-5, 1e-1},
                                        make_method_of<PrefixTuning, PrefixTuningOptions>, nullptr, nullptr};
const MethodRow p_tuning_v2_method = {
    "p_tuning_v2", "keys and values in front of every attention's own, trained themselves", {1e-2, 1e-4, 5e-1}, make_method_of<DeepPrompts, DeepPromptOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "PREFIX_TUNING"; },
    [](PeftFields& fields) -> MethodOptions {
      DeepPromptOptions options;
      fields.take("num_virtual_tokens", options.num_virtual_tokens);
      return options;
    }};

}  // namespace graft
