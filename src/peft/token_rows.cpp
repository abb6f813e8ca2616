#include "graft/peft/token_rows.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

/// The base's rows of these tokens, fp32; zeros of an outline.
Tensor own_rows(const Site& site, const Tensor& tokens) {
  at::NoGradGuard no_grad;
  const Weight& weight = *site.weight();
  if (site.device().is_meta()) return at::zeros({tokens.size(0), weight.in_features()}, adapter_options(site));
  return weight.rows(tokens).to(at::kFloat);
}

}  // namespace

TokenRows::TokenRows(const Site& site, const std::vector<int>& tokens) {
  const int64_t vocabulary = site.weight()->out_features();
  for (const int token : tokens)
    require(token >= 0 && token < vocabulary, "adapter.trainable_token_indices: {} is no token of {}, which has {}", token,
            site.path(), vocabulary);
  tokens_ = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong).to(adapter_options(site).device());
  slot_ = at::full({vocabulary}, -1, tokens_.options());
  slot_.index_put_({tokens_}, at::arange(tokens_.size(0), tokens_.options()));
  require(slot_.ge(0).sum().item<int64_t>() == tokens_.size(0), "adapter.trainable_token_indices: a token is listed twice");
  const auto part = register_module("token_adapter", std::make_shared<torch::nn::Module>());
  rows_ = part->register_parameter("trainable_tokens_delta", own_rows(site, tokens_));
}

Tensor TokenRows::embedded(const Tensor& ids, const Frozen& base) const {
  const Tensor frozen = base(ids);  // [.., dim]
  const Tensor slot = slot_.index({ids.clamp_min(0)}).masked_fill(ids.lt(0), -1);
  const Tensor own = at::embedding(rows_, slot.clamp_min(0)).to(frozen.scalar_type()) * base.site.output_scale();
  return at::where(slot.ge(0).unsqueeze(-1), own, frozen);
}

Tensor TokenRows::with_columns(const Tensor& logits, const Tensor& hidden, const Tensor& bias) const {
  Tensor own = at::matmul(hidden, rows_.to(hidden.scalar_type()).t());
  if (bias.defined()) own = own + bias.index({tokens_});
  return logits.index_copy(-1, tokens_, own.to(logits.scalar_type()));
}

Tensor TokenRows::forward(const Tensor& x, const Frozen& base, const Batch&) {
  return base.site.kind() == SiteKind::embedding ? embedded(x, base) : with_columns(base(x), x, base.site.bias());
}

std::optional<WeightAndBias> TokenRows::merged(const WeightAndBias& base) const {
  return WeightAndBias{base.weight.index_copy(0, tokens_.to(base.weight.device()), rows_.detach().to(base.weight.device())),
                       base.bias};
}

}  // namespace graft
