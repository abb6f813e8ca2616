#include "graft/nn/layers.h"

#include "graft/ops/norm.h"

namespace graft {

Linear::Linear(TensorSource& source, const std::string& path, int64_t in, int64_t out, bool bias) : Site(path, SiteKind::linear) {
  weight_ = register_module("weight", source.take_weight(path + ".weight", {out, in}));
  if (bias) bias_ = register_buffer("bias", source.take(path + ".bias", {out}));
}

Linear::Linear(const std::string& path, std::shared_ptr<Weight> weight) : Site(path, SiteKind::linear), weight_(std::move(weight)) {}

Tensor Linear::frozen(const Tensor& x) const {
  const Tensor y = frozen_matmul(x, *weight_);
  return bias_.defined() ? y + bias_ : y;
}

Embedding::Embedding(TensorSource& source, const std::string& path, int64_t count, int64_t dim) : Site(path, SiteKind::embedding) {
  weight_ = register_module("weight", source.take_weight(path + ".weight", {count, dim}));
}

RmsNorm::RmsNorm(TensorSource& source, const std::string& path, int64_t dim, double eps) : Site(path, SiteKind::norm), eps_(eps) {
  weight_ = register_buffer("weight", source.take(path + ".weight", {dim}));
}

Tensor RmsNorm::frozen(const Tensor& x) const { return rms_norm(x, weight_, eps_); }

}  // namespace graft
