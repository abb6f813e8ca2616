#include "graft/peft/replace.h"

#include <ATen/ATen.h>

#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

class FullMethod : public Method {
 public:
  explicit FullMethod(const FullOptions&) {}
  bool usual(const Site& site) const override { return has_values(site) && !site.shares_weight(); }   // a tied head follows its embedding
  bool trains_whole() const override { return true; }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting&) override { return std::make_shared<ReplaceAdapter>(site); }
};

class HeadMethod : public FullMethod {
 public:
  explicit HeadMethod(const HeadOptions&) : FullMethod({}) {}
  bool usual(const Site& site) const override { return site.role() == Role::head; }
  bool adapts(const Site& site) const override { return has_values(site); }
};

}  // namespace

bool has_values(const Site& site) { return site.kind() == SiteKind::linear || site.kind() == SiteKind::embedding || site.kind() == SiteKind::norm; }

ReplaceAdapter::ReplaceAdapter(const Site& site) {
  at::NoGradGuard no_grad;
  const WeightAndBias values = site.values();
  const auto own = [&](const Tensor& x) { return x.is_meta() ? at::zeros(x.sizes(), adapter_options(site)) : x.to(at::kFloat).clone(); };
  weight_ = register_parameter("weight", own(values.weight));
  if (values.bias.defined()) bias_ = register_parameter("bias", own(values.bias));
}

const MethodRow full_method = {"full", "every value of the base is trained", {2e-5, 1e-7, 1e-3}, make_method_of<FullMethod, FullOptions>, nullptr, nullptr};
const MethodRow head_method = {"head", "the head alone is trained", {1e-3, 1e-5, 5e-2}, make_method_of<HeadMethod, HeadOptions>, nullptr, nullptr};

}  // namespace graft
