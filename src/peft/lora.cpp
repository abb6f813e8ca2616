#include "graft/peft/lora.h"

#include <ATen/ATen.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/ops/dropout.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"
#include "graft/peft/target_patterns.h"
#include "low_rank_update.h"

namespace graft {
namespace {

/// A factor with the name that PEFT's files give it: lora_A.weight.
struct Factor : torch::nn::Module {
  explicit Factor(Tensor value) { weight = register_parameter("weight", std::move(value)); }
  Tensor weight;
};

/// A factor a column for each id: y = E[id] + s * B A[id].
class EmbeddingLora : public Adapter {
 public:
  EmbeddingLora(const Site& site, int64_t rank, double scale) : scale_(scale), output_scale_(site.output_scale()) {
    a_ = register_parameter("lora_embedding_A", at::zeros({rank, site.weight()->out_features()}, adapter_options(site)));
    b_ = register_parameter("lora_embedding_B", at::zeros({site.weight()->in_features(), rank}, adapter_options(site)));
  }
  Tensor forward(const Tensor& ids, const Frozen& base, const Batch&) override {
    const Tensor rows = base(ids), narrow = at::embedding(a_.t(), ids.clamp_min(0));   // [.., rank]
    return rows + at::linear(narrow.to(rows.scalar_type()), b_.to(rows.scalar_type())) * (scale_ * output_scale_);
  }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override {
    at::NoGradGuard no_grad;
    return WeightAndBias{base.weight + at::mm(a_.t(), b_.t()).mul_(scale_).to(base.weight.device()), base.bias};
  }
  void set_b(const Tensor& b) {
    at::NoGradGuard no_grad;
    b_.copy_(b);
  }

 private:
  Tensor a_, b_;   // fp32 [rank, vocabulary], [dim, rank]
  double scale_, output_scale_;
};

class LoraMethod : public LowRankMethod {
 public:
  explicit LoraMethod(const LoraOptions& options) : LowRankMethod(options), options_(options) {}
  bool adapts(const Site& site) const override { return site.kind() == SiteKind::linear || site.kind() == SiteKind::embedding; }

  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const std::string& path = site.path();
    const int64_t rank = options_.rank_at(path);
    if (site.kind() == SiteKind::embedding) {
      auto adapter = std::make_shared<EmbeddingLora>(site, rank, options_.scale_at(path));
      adapter->set_b(normal_values({site.weight()->in_features(), rank}, 1, setting.seed, path + ".lora_embedding_B"));
      return adapter;
    }
    auto adapter = std::make_shared<LoraAdapter>(site, rank, options_.scale_at(path), options_.dropout);
    const std::vector<int64_t> shape{rank, site.weight()->in_features()};
    const std::string name = path + ".lora_A";
    adapter->set(options_.init == "gaussian" ? normal_values(shape, 1.0 / static_cast<double>(rank), setting.seed, name) : kaiming_values(shape, setting.seed, name), {});
    return adapter;
  }

  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    return options_.peft_config();
  }

 private:
  LoraOptions options_;
};

}  // namespace

int64_t LowRankOptions::rank_at(const std::string& path) const {
  int64_t found = rank;
  for (const auto& [key, value] : rank_pattern)
    if (matches_pattern_key(path, key)) { found = value; break; }
  require(found >= 1, "adapter.rank_pattern: rank {} for {}: expected at least 1", found, path);
  return found;
}

double LowRankOptions::scale_at(const std::string& path) const {
  double found = alpha;
  for (const auto& [key, value] : alpha_pattern)
    if (matches_pattern_key(path, key)) { found = value; break; }
  const auto width = static_cast<double>(rank_at(path));
  return found / (rslora ? std::sqrt(width) : width);
}

Json LowRankOptions::peft_config() const {
  return {{"peft_type", "LORA"},          {"r", rank},          {"lora_alpha", alpha},
          {"lora_dropout", dropout},      {"use_rslora", rslora}, {"rank_pattern", Json(rank_pattern)},
          {"alpha_pattern", Json(alpha_pattern)}, {"bias", "none"},   {"fan_in_fan_out", false},
          {"init_lora_weights", true},    {"use_dora", false}};
}

void LowRankOptions::take(PeftFields& fields) {
  fields.take("r", rank);
  alpha = 8;   // PEFT's default, where the file says nothing
  fields.take("lora_alpha", alpha);
  fields.take("lora_dropout", dropout);
  fields.take("use_rslora", rslora);
  fields.take("rank_pattern", rank_pattern);
  fields.take("alpha_pattern", alpha_pattern);
  std::string bias = "none";
  fields.take("bias", bias);
  require(bias == "none", "{}: bias '{}' is not supported (only none)", fields.where(), bias);
  require(rank >= 1 && alpha > 0, "{}: r {} and lora_alpha {}: expected positive values", fields.where(), rank, alpha);
}

LoraAdapter::LoraAdapter(const Site& site, int64_t rank, double scale, double dropout)
    : scale_(scale), dropout_(dropout), site_hash_(static_cast<uint32_t>(hash_of(site.path()))) {
  const Weight& weight = *site.weight();
  a_ = register_module("lora_A", std::make_shared<Factor>(at::zeros({rank, weight.in_features()}, adapter_options(site))))->weight;
  b_ = register_module("lora_B", std::make_shared<Factor>(at::zeros({weight.out_features(), rank}, adapter_options(site))))->weight;
}

void LoraAdapter::set(const Tensor& a, const Tensor& b) {
  at::NoGradGuard no_grad;
  if (a.defined()) a_.copy_(a);
  if (b.defined()) b_.copy_(b);
}

Tensor LoraAdapter::forward(const Tensor& x, const Frozen& base, const Batch& batch) {
  if (!batch.training || dropout_ == 0) return low_rank_update(x, x, {a_, b_, scale_}, base.site);
  return low_rank_update(x, graft::dropout(x, dropout_, dropout_key(batch, site_hash_), batch.segments, batch.positions), {a_, b_, scale_}, base.site);
}

std::optional<Tensor> LoraAdapter::forward_parts(const Tensor& x, const std::vector<Adapter*>& adapters, const Frozen& base, const Batch& batch) {
  std::vector<LowRank> updates;
  for (Adapter* adapter : adapters) {
    const auto* lora = dynamic_cast<const LoraAdapter*>(adapter);
    if (!lora || (batch.training && lora->dropout_ > 0)) return std::nullopt;
    updates.push_back({lora->a_, lora->b_, lora->scale_});
  }
  std::vector<int64_t> rows;
  for (const Batch& part : *batch.parts) rows.push_back(part.ids.size(0));
  return low_rank_updates(x, updates, rows, base.site);
}

Tensor LoraAdapter::delta() const { return at::mm(b_, a_).mul_(scale_); }

std::optional<WeightAndBias> LoraAdapter::merged(const WeightAndBias& base) const {
  at::NoGradGuard no_grad;
  return WeightAndBias{base.weight + delta().to(base.weight.device()), base.bias};
}

const MethodRow lora_method = {
    "lora", "a low-rank update of linear layers and embeddings", {2e-4, 1e-6, 5e-3}, make_method_of<LoraMethod, LoraOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "LORA" && !config.value("use_dora", false); },
    [](PeftFields& fields) -> MethodOptions {
      LoraOptions options;
      options.take(fields);
      return options;
    }};

}  // namespace graft
