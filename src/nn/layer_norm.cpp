#include "graft/nn/layer_norm.h"

#include <ATen/ATen.h>

namespace graft {

LayerNorm::LayerNorm(TensorSource& source, const std::string& path, int64_t dim, double eps) : Site(path, SiteKind::norm), eps_(eps) {
  weight_ = register_buffer("weight", source.take(path + ".weight", {dim}));
  bias_ = register_buffer("bias", source.take(path + ".bias", {dim}));
}

Tensor LayerNorm::frozen(const Tensor& x) const { return at::layer_norm(x, weight_.sizes(), weight_, bias_, eps_); }

Tensor LayerNorm::apply(const Tensor& x, const WeightAndBias& values) const {
  return at::layer_norm(x, weight_.sizes(), values.weight.to(x.scalar_type()), values.bias.to(x.scalar_type()), eps_);
}

}  // namespace graft
