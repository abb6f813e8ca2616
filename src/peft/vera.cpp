#include "graft/peft/vera.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/ops/dropout.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"
#include "low_rank_update.h"

namespace graft {
namespace {

class VeraAdapter : public Adapter {
 public:
  /// a: [rank, in], b: [out, rank]: views of the shared pair.
  VeraAdapter(const Site& site, Tensor a, Tensor b, const VeraOptions& options)
      : a_(std::move(a)), b_(std::move(b)), dropout_(options.dropout), site_hash_(static_cast<uint32_t>(hash_of(site.path()))) {
    lambda_b_ = register_parameter("vera_lambda_b", at::zeros({b_.size(0)}, adapter_options(site)));
    lambda_d_ = register_parameter("vera_lambda_d", at::full({a_.size(0)}, options.d_initial, adapter_options(site)));
  }
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override {
    const LowRank update = *low_rank();
    if (!batch.training || dropout_ == 0) return low_rank_update(x, x, update, base.site);
      return low_rank_update(x, graft::dropout(x, dropout_, dropout_key(batch, site_hash_), batch.segments, batch.positions), update, base.site);
  }
  std::optional<LowRank> low_rank() const override { return LowRank{a_ * lambda_d_.unsqueeze(1), b_ * lambda_b_.unsqueeze(1), 1.0}; }
  std::optional<LowRank> trained_factors() const override {
    return LowRank{.a = a_, .b = b_, .dropout = dropout_, .site = site_hash_, .a_gain = lambda_d_, .b_gain = lambda_b_};
  }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override {
    at::NoGradGuard no_grad;
    const LowRank update = *low_rank();
    return WeightAndBias{base.weight + at::mm(update.b, update.a).to(base.weight.device()), base.bias};
  }

 private:
  Tensor a_, b_;                 // frozen, shared
  Tensor lambda_b_, lambda_d_;   // fp32 [out], [rank]
  double dropout_;
  uint32_t site_hash_;
};

/// PyTorch's kaiming_uniform_ with its default slope: within sqrt(6 / fan_in).
Tensor projection(int64_t rows, int64_t columns, at::Generator& generator) {
  const double bound = std::sqrt(6.0 / static_cast<double>(columns));
  return at::empty({rows, columns}, at::kFloat).uniform_(-bound, bound, generator);
}

class VeraMethod : public Method {
 public:
  explicit VeraMethod(const VeraOptions& options) : options_(options) {}
  bool usual(const Site& site) const override { return site.kind() == SiteKind::linear && site.role() != Role::head; }
  bool adapts(const Site& site) const override { return site.kind() == SiteKind::linear; }

  void prepare(const Transformer&, const std::vector<Site*>& sites, const GraftSetting&) override {
    int64_t in = 0, out = 0;
    for (const Site* site : sites) in = std::max(in, site->weight()->in_features()), out = std::max(out, site->weight()->out_features());
    at::Generator generator = at::detail::createCPUGenerator(options_.projection_prng_key);
    a_ = projection(options_.rank, in, generator), b_ = projection(out, options_.rank, generator);
    on_device_a_ = a_.to(adapter_options(*sites.front())), on_device_b_ = b_.to(adapter_options(*sites.front()));
  }
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting&) override {
    return std::make_shared<VeraAdapter>(site, on_device_a_.slice(1, 0, site.weight()->in_features()), on_device_b_.slice(0, 0, site.weight()->out_features()), options_);
  }
  double dropout() const override { return options_.dropout; }

  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    return {{"peft_type", "VERA"}, {"r", options_.rank}, {"d_initial", options_.d_initial}, {"vera_dropout", options_.dropout},
            {"projection_prng_key", options_.projection_prng_key}, {"save_projection", options_.save_projection}, {"bias", "none"}, {"fan_in_fan_out", false}};
  }
  TensorMap exported(const Transformer& model, const std::string& name) const override {
    TensorMap tensors = Method::exported(model, name);
    if (options_.save_projection) tensors["base_model.vera_A"] = a_, tensors["base_model.vera_B"] = b_;
    return tensors;
  }
  void import(Transformer& model, const std::string& name, const TensorMap& given, const std::string& what) const override {
    TensorMap tensors = given;
    for (const auto& [key, mine] : {std::pair<const char*, const Tensor*>{"base_model.vera_A", &a_}, {"base_model.vera_B", &b_}}) {
      const auto it = tensors.find(key);
      if (it == tensors.end()) continue;
      require(it->second.sizes() == mine->sizes() && at::equal(it->second.to(at::kFloat), *mine),
              "{}: {} is not the projection that projection_prng_key {} gives; graft makes it from that key", what, key, options_.projection_prng_key);
      tensors.erase(it);
    }
    Method::import(model, name, tensors, what);
  }

 private:
  VeraOptions options_;
  Tensor a_, b_, on_device_a_, on_device_b_;   // the shared pair: [rank, widest in], [widest out, rank]
};

}  // namespace

const MethodRow vera_method = {
    "vera", "two trained vectors a layer round one random pair that all share", {2e-3, 1e-5, 5e-2}, make_method_of<VeraMethod, VeraOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "VERA"; },
    [](PeftFields& fields) -> MethodOptions {
      VeraOptions options;
      fields.take("r", options.rank);
      fields.take("d_initial", options.d_initial);
      fields.take("vera_dropout", options.dropout);
      fields.take("projection_prng_key", options.projection_prng_key);
      fields.take("save_projection", options.save_projection);
      std::string bias = "none";
      fields.take("bias", bias);
      require(bias == "none", "{}: bias '{}' is not supported (only none)", fields.where(), bias);
      return options;
    }};

}  // namespace graft
