#include "graft/peft/bottleneck.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"
#include "graft/nn/layers.h"
#include "graft/peft/graft_adapter.h"
#include "graft/peft/init.h"
#include "base_in_file.h"
#include "hub_config.h"

namespace graft {
namespace {

constexpr double norm_eps = 1e-5;   // nn.LayerNorm's

Tensor activate(const Tensor& x, const std::string& name) {
  if (name == "relu") return at::relu(x);
  if (name == "gelu") return at::gelu(x);
  if (name == "gelu_new") return at::gelu(x, "tanh");
  if (name == "tanh") return at::tanh(x);
  if (name == "leakyrelu") return at::leaky_relu(x);
  return at::silu(x);   // swish is another name for it
}

/// A linear layer or a norm with AdapterHub's parameter names.
struct WeightBias : torch::nn::Module {
  WeightBias(const Tensor& w, const Tensor& b, const at::TensorOptions& options) {
    weight = register_parameter("weight", w.to(options).clone()), bias = register_parameter("bias", b.to(options).clone());
  }
  Tensor weight, bias;
};
/// Its place in AdapterHub's nn.Sequential: adapter_down.0, or .1 behind a norm.
struct Sequence : torch::nn::Module {
  void put(const std::string& index, std::shared_ptr<WeightBias> part) { register_module(index, std::move(part)); }
};

class BottleneckAdapter : public Adapter {
 public:
  BottleneckAdapter(const Site& site, BottleneckForm form, const BottleneckOptions& options, uint64_t seed) : form_(form), options_(options) {
    const int64_t dim = dynamic_cast<const ResidualSite&>(site).dim();
    const auto width = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(dim) / options.reduction_factor));
    const at::TensorOptions where = adapter_options(site);
    const auto first = [&](std::vector<int64_t> shape, const char* part) { return first_values(shape, seed, site.path() + part); };
    down_ = std::make_shared<WeightBias>(first({width, dim}, ".adapter_down"), at::zeros({width}), where);
    const auto sequence = register_module("adapter_down", std::make_shared<Sequence>());
    if (options.ln_before) sequence->put("0", norm_before_ = std::make_shared<WeightBias>(at::ones({dim}), at::zeros({dim}), where));
    sequence->put(options.ln_before ? "1" : "0", down_);
    up_ = register_module("adapter_up", std::make_shared<WeightBias>(options.init_weights == "mam_adapter" ? at::zeros({dim, width}) : first({dim, width}, ".adapter_up"), at::zeros({dim}), where));
    if (options.ln_after) norm_after_ = register_module("adapter_norm_after", std::make_shared<WeightBias>(at::ones({dim}), at::zeros({dim}), where));
    if (options.learn_scaling) scaling_ = register_parameter("scaling", at::ones({1}, where));
  }

  Tensor forward(const Tensor& x, const Frozen& base, const Batch&) override {
    switch (form_) {
      case BottleneckForm::houlsby: return base(x + bottleneck(x));
      case BottleneckForm::pfeiffer: return base(x + bottleneck(base(x)));
      case BottleneckForm::parallel: return base(x + bottleneck(base.residual));
    }
    fail("no such form of bottleneck");
  }

 private:
  Tensor first_values(const std::vector<int64_t>& shape, uint64_t seed, const std::string& name) const {
    if (options_.init_weights == "mam_adapter") return kaiming_values(shape, seed, name);
    if (options_.init_weights == "bert") return normal_values(shape, 0.02, seed, name);
    return normal_values(shape, 1e-2, seed, name).clamp_(-2e-2, 2e-2);
  }
  static Tensor normed(const Tensor& x, const WeightBias& norm) {
    return at::layer_norm(x, {x.size(-1)}, norm.weight.to(x.scalar_type()), norm.bias.to(x.scalar_type()), norm_eps);
  }
  static Tensor linear(const Tensor& x, const WeightBias& layer) { return at::linear(x, layer.weight.to(x.scalar_type()), layer.bias.to(x.scalar_type())); }

  Tensor bottleneck(const Tensor& given) const {
    const Tensor x = norm_before_ ? normed(given, *norm_before_) : given;
    Tensor y = linear(activate(linear(x, *down_), options_.non_linearity), *up_);
    if (scaling_.defined()) y = y * scaling_.to(y.scalar_type());
    else if (options_.scaling != 1) y = y * options_.scaling;
    return norm_after_ ? normed(y, *norm_after_) : y;
  }

  BottleneckForm form_;
  BottleneckOptions options_;
  std::shared_ptr<WeightBias> down_, up_, norm_before_, norm_after_;
  Tensor scaling_;
};

/// AdapterHub saves what a model without any head knows of itself: encoder.layer.0 ... for bert.encoder.layer.0 ... of one with a head.
void add_model_prefix(TensorMap& values, const TensorMap& live) {
  if (values.empty() || live.contains(values.begin()->first)) return;
  const std::string& key = values.begin()->first;
  const auto whole = std::find_if(live.begin(), live.end(), [&](const auto& item) { return item.first.ends_with("." + key); });
  if (whole == live.end()) return;
  const std::string prefix = whole->first.substr(0, whole->first.size() - key.size());
  TensorMap named;
  for (const auto& [name, tensor] : values) named[prefix + name] = tensor;
  values = std::move(named);
}

class BottleneckMethod : public Method {
 public:
  BottleneckMethod(BottleneckForm form, const BottleneckOptions& options) : form_(form), options_(options) {}
  bool usual(const Site& site) const override {
    if (site.kind() == SiteKind::norm) return options_.train_norms;
    return site.kind() == SiteKind::after_mlp || (form_ == BottleneckForm::houlsby && site.kind() == SiteKind::after_attention);
  }
  bool adapts(const Site& site) const override { return site.kind() == SiteKind::after_mlp || site.kind() == SiteKind::after_attention || usual(site); }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    if (site.kind() == SiteKind::norm) return std::make_shared<ReplaceAdapter>(site);
    return std::make_shared<BottleneckAdapter>(site, form_, options_, setting.seed);
  }
  bool merges() const override { return false; }
  std::string_view first_effect() const override {
    return options_.init_weights == "mam_adapter" && !options_.ln_after ? "" : "its first weights are small, not zero (near-identity)";
  }

  FileForm file_form() const override { return FileForm::adapter_hub; }
  std::string_view file_prefix() const override { return ""; }
  Json file_config(const Transformer& model, const std::string&) const override { return hub_config(form_, options_, model.hidden_size()); }
  /// AdapterHub puts the adapter's name into the key: <site>.<name>.adapter_up.weight
  TensorMap exported(const Transformer& model, const std::string& name) const override {
    TensorMap tensors;
    for (const auto& [key, tensor] : parameters(model, name)) {
      tensors[hub_key(key, name)] = tensor.detach();
      if (const std::string second = second_hub_key(hub_key(key, name)); options_.ln_before && !second.empty()) tensors[second] = tensor.detach();
    }
    return tensors;
  }
  void import(Transformer& model, const std::string& name, const TensorMap& tensors, const std::string& what) const override {
    TensorMap values;
    for (const auto& [key, tensor] : tensors) values[without_hub_name(key)] = tensor;
    for (const auto& [key, tensor] : tensors) {
      const auto twin = values.find(second_hub_key(without_hub_name(key)));
      if (twin == values.end()) continue;
      require(at::equal(twin->second, tensor), "{}: {} and {} are one tensor in AdapterHub, and differ", what, key, twin->first);
      values.erase(twin);
    }
    TensorMap live = parameter_values(model, name);
    add_model_prefix(values, live);
    values.merge(taken_head(model, live));   // a file without a head leaves it as it is
    load_parameters(model, name, values, what);
  }

 private:
  BottleneckForm form_;
  BottleneckOptions options_;
};

template <BottleneckForm form, class Options>
std::unique_ptr<Method> make(const MethodOptions& options) {
  return std::make_unique<BottleneckMethod>(form, std::get<Options>(options));
}
template <BottleneckForm form>
bool reads(const Json& config) {
  return hub_form(config) == form;
}
template <class Options>
MethodOptions options_from(PeftFields& fields) {
  Options options;
  take_hub_options(fields, options);
  return options;
}

}  // namespace

const MethodRow houlsby_method = {"houlsby", "bottlenecks after attention and after the feed-forward", {1e-3, 1e-5, 1e-2}, make<BottleneckForm::houlsby, HoulsbyOptions>,
                                  reads<BottleneckForm::houlsby>, options_from<HoulsbyOptions>};
const MethodRow pfeiffer_method = {"pfeiffer", "a bottleneck after the feed-forward", {1e-3, 1e-5, 1e-2}, make<BottleneckForm::pfeiffer, PfeifferOptions>,
                                   reads<BottleneckForm::pfeiffer>, options_from<PfeifferOptions>};
const MethodRow parallel_method = {"parallel", "a scaled bottleneck beside the feed-forward", {1e-3, 1e-5, 1e-2}, make<BottleneckForm::parallel, ParallelOptions>,
                                   reads<BottleneckForm::parallel>, options_from<ParallelOptions>};

}  // namespace graft
