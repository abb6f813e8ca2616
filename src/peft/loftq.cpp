#include "graft/peft/loftq.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

class LoftqMethod : public LowRankMethod {
 public:
  explicit LoftqMethod(const LoftqOptions& options) : LowRankMethod(options) {}
  void prepare(const Transformer&, const std::vector<Site*>& sites, const GraftSetting& setting) override {
    if (!setting.fresh) return;
    require(static_cast<bool>(setting.original), "adapter.method loftq: the base's original weights are not at hand");
    const bool any = std::any_of(sites.begin(), sites.end(), [&](const Site* site) { return lost_at(*site, setting).any().item<bool>(); });
    require(any, "adapter.method loftq: no target module is quantised, nothing was lost; set quantization.format, or use lora");
  }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const std::string& path = site.path();
    const double scale = low_rank_.scale_at(path);
    auto adapter = std::make_shared<LoraAdapter>(site, low_rank_.rank_at(path), scale, low_rank_.dropout);
    if (!setting.fresh) return adapter;
    const Tensor lost = lost_at(site, setting);
    adapter->set(kaiming_values({low_rank_.rank_at(path), site.weight()->in_features()}, setting.seed, path + ".lora_A"), {});
    if (!lost.any().item<bool>()) return adapter;   // a module that is not quantised: LoRA
    const auto [b, a] = nearest_factors(lost, low_rank_.rank_at(path));
    adapter->set(a / std::sqrt(scale), b / std::sqrt(scale));
    return adapter;
  }
  std::string_view first_effect() const override { return "the first factors give back a part of what quantising took"; }
  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    return low_rank_.peft_config();   // trained, it is a LoRA like any other
  }

 private:
  static Tensor lost_at(const Site& site, const GraftSetting& setting) {
    const Tensor kept = site.values().weight;
    return setting.original(site.path() + ".weight").to(kept.device()) - kept;
  }
};

}  // namespace

const MethodRow loftq_method = {"loftq", "LoRA that starts as a part of what quantising took", {2e-4, 1e-6, 5e-3}, make_method_of<LoftqMethod, LoftqOptions>, nullptr, nullptr};

}  // namespace graft
