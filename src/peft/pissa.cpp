#include "graft/peft/pissa.h"

#include <ATen/ATen.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"
#include "low_rank_update.h"

namespace graft {
namespace {

class PissaAdapter : public LoraAdapter {
 public:
  PissaAdapter(const Site& site, int64_t rank, double scale, double dropout) : LoraAdapter(site, rank, scale, dropout) {
    // Parameters, so that a checkpoint holds them; they never take a gradient.
    a0_ = register_parameter("initial_A", at::zeros_like(a_), false);
    b0_ = register_parameter("initial_B", at::zeros_like(b_), false);
  }
  /// The factors of s B A = the principal part.
  void start(const Tensor& b, const Tensor& a) {
    at::NoGradGuard no_grad;
    set(a, b);
    a0_.copy_(a), b0_.copy_(b);
  }
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override {
    const Tensor y = LoraAdapter::forward(x, base, batch), narrow = at::linear(x, a0_.to(x.scalar_type()));
    return at::addmm(y.flatten(0, -2), narrow.flatten(0, -2), b0_.to(x.scalar_type()).t(), 1, -scale_).view(y.sizes());   // one tensor more, not three
  }
  std::optional<Tensor> forward_parts(const Tensor&, const std::vector<Adapter*>&, const Frozen&, const Batch&) override { return std::nullopt; }
  std::optional<LowRank> low_rank() const override { return LowRank{stacked_a(), stacked_b(), scale_}; }
  std::optional<LowRank> trained_factors() const override { return std::nullopt; }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override {
    at::NoGradGuard no_grad;
    return WeightAndBias{base.weight + at::mm(stacked_b(), stacked_a()).mul_(scale_).to(base.weight.device()), base.bias};
  }
  Tensor stacked_a() const { return at::cat({a_, a0_}); }
  Tensor stacked_b() const { return at::cat({b_, -b0_}, 1); }

 private:
  Tensor a0_, b0_;
};

class PissaMethod : public LowRankMethod {
 public:
  explicit PissaMethod(const PissaOptions& options) : LowRankMethod(options) {
    require(options.dropout == 0, "adapter.dropout {}: PiSSA's factors are a part of the weight, which dropout would take away; set it to 0", options.dropout);
  }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const std::string& path = site.path();
    const double scale = low_rank_.scale_at(path);
    auto adapter = std::make_shared<PissaAdapter>(site, low_rank_.rank_at(path), scale, 0.0);
    if (!setting.fresh) return adapter;
    const auto [b, a] = nearest_factors(site.values().weight, low_rank_.rank_at(path));
    adapter->start(b / std::sqrt(scale), a / std::sqrt(scale));
    return adapter;
  }
  std::string_view first_effect() const override { return "what the factors add and the first factors take away cancels but for rounding"; }

  /// Twice the rank and alpha, in the patterns too; alpha over the root of the rank grows by the root.
  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    LowRankOptions doubled = low_rank_;
    const double factor = doubled.rslora ? std::sqrt(2.0) : 2.0;
    doubled.rank *= 2, doubled.alpha *= factor;
    for (auto& [key, rank] : doubled.rank_pattern) rank *= 2;
    for (auto& [key, alpha] : doubled.alpha_pattern) alpha *= factor;
    return doubled.peft_config();
  }
  TensorMap exported(const Transformer& model, const std::string& name) const override {
    TensorMap tensors = Method::exported(model, name);   // what is trained whole beside it stays
    at::NoGradGuard no_grad;
    for (const Site* site : model.sites()) {
      const auto* adapter = dynamic_cast<const PissaAdapter*>(site->adapter(name).get());
      if (!adapter) continue;
      const std::string path = "base_model.model." + site->path();
      tensors.erase(path + ".initial_A"), tensors.erase(path + ".initial_B");
      tensors[path + ".lora_A.weight"] = adapter->stacked_a(), tensors[path + ".lora_B.weight"] = adapter->stacked_b();
    }
    return tensors;
  }
};

}  // namespace

const MethodRow pissa_method = {"pissa", "LoRA that starts as the weight's principal part", {2e-5, 1e-7, 2e-3}, make_method_of<PissaMethod, PissaOptions>, nullptr, nullptr};

}  // namespace graft
