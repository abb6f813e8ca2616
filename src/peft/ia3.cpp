#include "graft/peft/ia3.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

class Ia3Adapter : public Adapter {
 public:
  Ia3Adapter(const Site& site, bool scales_input) : scales_input_(scales_input) {
    const int64_t size = scales_input ? site.weight()->in_features() : site.weight()->out_features();
    scale_ = register_parameter("ia3_l", at::ones(scales_input ? std::vector<int64_t>{1, size} : std::vector<int64_t>{size, 1}, adapter_options(site)));
  }
  Tensor forward(const Tensor& x, const Frozen& base, const Batch&) override {
    const Tensor scale = scale_.flatten().to(x.scalar_type());
    return scales_input_ ? base(x * scale) : base(x) * scale;
  }
  std::optional<LowRank> trained_factors() const override {
    LowRank update;
    (scales_input_ ? update.in_gain : update.magnitude) = scale_;
    return update;
  }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override {
    at::NoGradGuard no_grad;
    const Tensor scale = scale_.to(base.weight.device());   // a row or a column: it scales the weight's columns or rows
    return WeightAndBias{base.weight * scale, base.bias.defined() && !scales_input_ ? base.bias * scale.flatten() : base.bias};
  }

 private:
  bool scales_input_;
  Tensor scale_;   // fp32 [1, in] or [out, 1]
};

class Ia3Method : public Method {
 public:
  explicit Ia3Method(const Ia3Options& options) : options_(options) {}
  /// PEFT's places; where keys and values come of a fused matrix, that.
  bool usual(const Site& site) const override {
    const Role role = site.role();
    return role == Role::key || role == Role::value || role == Role::query_key_value || role == Role::mlp_output;
  }
  bool adapts(const Site& site) const override { return site.kind() == SiteKind::linear; }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting&) override { return std::make_shared<Ia3Adapter>(site, scales_input(site)); }

  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer& model, const std::string& name) const override {
    std::vector<std::string> feedforward;
    for (const Site* site : model.sites())
      if (dynamic_cast<const Ia3Adapter*>(site->adapter(name).get()) && scales_input(*site)) feedforward.push_back(site->path());
    return {{"peft_type", "IA3"}, {"feedforward_modules", feedforward}, {"fan_in_fan_out", false}, {"init_ia3_weights", true}};
  }

 private:
  bool scales_input(const Site& site) const {
    const auto* word = std::get_if<std::string>(&options_.feedforward_modules);
    return word && *word == "auto" ? site.role() == Role::mlp_output : matches(site.path(), options_.feedforward_modules);
  }
  Ia3Options options_;
};

}  // namespace

const MethodRow ia3_method = {
    "ia3", "trained vectors that rescale keys, values and feed-forward activations", {3e-3, 1e-4, 5e-2}, make_method_of<Ia3Method, Ia3Options>,
    [](const Json& config) { return config.value("peft_type", "") == "IA3"; },
    [](PeftFields& fields) -> MethodOptions {
      Ia3Options options;
      Json modules;
      if (fields.take("feedforward_modules", modules))
        options.feedforward_modules = modules.is_string() ? NamesOrPattern(modules.get<std::string>()) : NamesOrPattern(modules.get<std::vector<std::string>>());
      else
        options.feedforward_modules = std::vector<std::string>{};
      return options;
    }};

}  // namespace graft
