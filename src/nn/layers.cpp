#include "graft/nn/layers.h"

#include <algorithm>

namespace graft {
namespace {

/// The parts of a mixed batch, or the batch itself.
template <class F>
void for_parts(const Batch& batch, F&& f) {
  if (!batch.parts) return f(batch);
  for (const Batch& part : *batch.parts) f(part);
}

}  // namespace

Linear::Linear(TensorSource& source, const std::string& path, int64_t in, int64_t out, bool bias, Role role) : Site(path, SiteKind::linear, role) {
  weight_ = register_module("weight", source.take_weight(path + ".weight", {out, in}));
  if (bias) bias_ = register_buffer("bias", source.take(path + ".bias", {out}));
}

Linear::Linear(const std::string& path, std::shared_ptr<Weight> weight) : Site(path, SiteKind::linear, Role::head), weight_(std::move(weight)), shared_(true) {}

Tensor Linear::frozen(const Tensor& x) const {
  const Tensor y = frozen_matmul(x, *weight_);
  return bias_.defined() ? y + bias_ : y;
}

WeightAndBias Linear::values() const { return {weight_->dense(at::kFloat), bias_.defined() ? bias_.to(at::kFloat) : Tensor()}; }

Tensor Linear::apply(const Tensor& x, const WeightAndBias& values) const {
  return at::linear(x, values.weight.to(x.scalar_type()), values.bias.defined() ? std::optional(values.bias.to(x.scalar_type())) : std::nullopt);
}

Embedding::Embedding(TensorSource& source, const std::string& path, int64_t count, int64_t dim, Role role, double scale) : Site(path, SiteKind::embedding, role) {
  weight_ = register_module("weight", source.take_weight(path + ".weight", {count, dim}));
  scale_ = at::scalar_tensor(scale, weight_->dtype()).item<double>();   // rounded as transformers does it
}

Tensor Embedding::apply(const Tensor& ids, const WeightAndBias& values) const {
  return scaled(at::embedding(values.weight, ids.clamp_min(0)).to(weight_->dtype()));
}

Tensor KeyValueSeat::forward(const Batch& batch, at::ScalarType dtype) const {
  std::vector<Tensor> parts;
  int64_t longest = 0;
  for_parts(batch, [&](const Batch& part) {
    const Tensor nothing = at::empty({part.ids.size(0), 0, 2, kv_heads_, head_dim_}, at::TensorOptions(dtype).device(part.ids.device()));
    parts.push_back(run(nothing, part));
    longest = std::max(longest, parts.back().size(1));
  });
  if (longest == 0) return {};
  for (Tensor& part : parts) part = at::constant_pad_nd(part, {0, 0, 0, 0, 0, 0, 0, longest - part.size(1)});
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

Tensor KeyValueSeat::segments(const Batch& batch) const {
  const auto length = [&](const Batch& part) {
    const auto here = adapter(part.adapter);
    return here ? here->virtual_tokens() : 0;
  };
  int64_t longest = 0;
  for_parts(batch, [&](const Batch& part) { longest = std::max(longest, length(part)); });
  if (longest == 0) return {};
  std::vector<Tensor> parts;
  for_parts(batch, [&](const Batch& part) {
    parts.push_back(at::full({part.ids.size(0), longest}, -1, part.ids.options()));
    parts.back().slice(1, 0, length(part)).fill_(everyone);
  });
  return at::cat(parts);
}

}  // namespace graft
