#include "graft/peft/loftq.h"

#include <cmath>

#include "graft/core/error.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

class LoftqMethod : public LowRankMethod {
 public:
  explicit LoftqMethod(const LoftqOptions& options) : LowRankMethod(options) {}
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const std::string& path = site.path();
    const double scale = low_rank_.scale_at(path);
    auto adapter = std::make_shared<LoraAdapter>(site, low_rank_.rank_at(path), scale, low_rank_.dropout);
    if (!setting.fresh) return adapter;
    require(static_cast<bool>(setting.original), "adapter.method loftq: the base's original weights are not at hand");
    const Tensor kept = site.values().weight, lost = setting.original(path + ".weight").to(kept.device()) - kept;
    require(lost.any().item<bool>(), "adapter.method loftq: {} is not quantised, nothing was lost; set quantization.format, or use lora", path);
    const auto [b, a] = nearest_factors(lost, low_rank_.rank_at(path));
    adapter->set(a / std::sqrt(scale), b / std::sqrt(scale));
    return adapter;
  }
  std::string_view first_effect() const override { return "the first factors give back a part of what quantising took"; }
  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    Json config = low_rank_.peft_config();
    config["init_lora_weights"] = true, config["use_dora"] = false;   // trained, it is a LoRA like any other
    return config;
  }
};

}  // namespace

const MethodRow loftq_method = {"loftq", "LoRA that starts as a part of what quantising took", {2e-4, 1e-6, 5e-3}, make_method_of<LoftqMethod, LoftqOptions>, nullptr, nullptr};

}  // namespace graft
