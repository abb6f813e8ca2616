#include "graft/nn/norm.h"

#include <ATen/ATen.h>

#include "graft/ops/launch.h"
#include "graft/ops/norm.h"

namespace graft {

RmsNorm::RmsNorm(TensorSource& source, const std::string& path, int64_t dim, double eps, RmsGain gain)
    : Norm(path), kind_(gain), eps_(eps) {
  weight_ = register_buffer("weight", source.take(path + ".weight", {dim}));
  gain_ = gain_of(weight_, weight_.scalar_type());
}

/// 1 + w is kept wide: in 16 bits it would lose most of a small w.
Tensor RmsNorm::gain_of(const Tensor& weight, at::ScalarType dtype) const {
  if (kind_ == RmsGain::weight) return weight.to(dtype);
  return weight.to(wide_type(dtype)) + 1;
}

Tensor RmsNorm::frozen(const Tensor& x) const { return rms_norm(x, gain_, eps_); }
Tensor RmsNorm::apply(const Tensor& x, const WeightAndBias& values) const {
  return rms_norm_text(x, gain_of(values.weight, x.scalar_type()), eps_);
}

LayerNorm::LayerNorm(TensorSource& source, const std::string& path, int64_t dim, double eps) : Norm(path), eps_(eps) {
  weight_ = register_buffer("weight", source.take(path + ".weight", {dim}));
  bias_ = register_buffer("bias", source.take(path + ".bias", {dim}));
}

Tensor LayerNorm::frozen(const Tensor& x) const { return at::layer_norm(x, weight_.sizes(), weight_, bias_, eps_); }

Tensor LayerNorm::apply(const Tensor& x, const WeightAndBias& values) const {
  return at::layer_norm(x, weight_.sizes(), values.weight.to(x.scalar_type()), values.bias.to(x.scalar_type()), eps_);
}

std::shared_ptr<Norm> make_norm(NormKind kind, TensorSource& source, const std::string& path, int64_t dim, double eps) {
  if (kind == NormKind::layer) return std::make_shared<LayerNorm>(source, path, dim, eps);
  return std::make_shared<RmsNorm>(source, path, dim, eps, kind == NormKind::rms ? RmsGain::weight : RmsGain::one_plus_weight);
}

}  // namespace graft
