#pragma once
// The layers with seats. Each takes its tensors from a TensorSource when it is built: to build a model is to load it, one tensor at a
// time, each assigned exactly once.
#include <memory>
#include <string>

#include "graft/nn/site.h"

namespace graft {

/// Where a model's frozen tensors come from, by Hugging Face's names.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// The tensor in the compute type, on the device; its shape is checked.
  virtual Tensor take(const std::string& name, at::IntArrayRef shape) = 0;
  /// The same as a frozen matrix, in the base's storage format.
  virtual std::shared_ptr<Weight> take_weight(const std::string& name, at::IntArrayRef shape) { return std::make_shared<DenseWeight>(take(name, shape)); }
  /// A tensor that a task adds to the model: the source's, where it has one of this name and shape; else `fresh` (fp32, on the CPU), brought
  /// to the compute type and the device.
  virtual Tensor take_or(const std::string& name, const Tensor& fresh) { return take(name, fresh.sizes()); }
};

class Linear : public torch::nn::Module, public Site {
 public:
  Linear(TensorSource& source, const std::string& path, int64_t in, int64_t out, bool bias, Role role = Role::other);
  Linear(const std::string& path, std::shared_ptr<Weight> weight);   // a head tied to the embedding
  Tensor forward(const Tensor& x, const Batch& batch) const { return run(x, batch); }
  using Site::frozen;
  Tensor frozen(const Tensor& x) const override;
  Tensor frozen_linear(const Tensor& x) const override { return frozen_matmul(x, *weight_); }
  const Weight* weight() const override { return weight_.get(); }
  Weight& weight_to_settle() { return *weight_; }   // into a matrix of several layers (nn/folded_linears.h)
  Tensor bias() const override { return bias_; }
  bool shares_weight() const override { return shared_; }
  WeightAndBias values() const override;
  Tensor apply(const Tensor& x, const WeightAndBias& values) const override;
  at::Device device() const override { return weight_->device(); }

 private:
  std::shared_ptr<Weight> weight_;
  Tensor bias_;
  bool shared_ = false;
};

class Embedding : public torch::nn::Module, public Site {
 public:
  /// scale: what rows are multiplied by, in the compute type (Gemma).
  Embedding(TensorSource& source, const std::string& path, int64_t count, int64_t dim, Role role = Role::words, double scale = 1);
  Tensor forward(const Tensor& ids, const Batch& batch) const { return run(ids, batch); }
  using Site::frozen;
  Tensor frozen(const Tensor& ids) const override { return scaled(weight_->rows(ids.clamp_min(0))); }
  double output_scale() const override { return scale_; }
  const Weight* weight() const override { return weight_.get(); }
  std::shared_ptr<Weight> shared_weight() const { return weight_; }
  WeightAndBias values() const override { return {weight_->dense(at::kFloat), {}}; }
  Tensor apply(const Tensor& ids, const WeightAndBias& values) const override;
  at::Device device() const override { return weight_->device(); }

 private:
  Tensor scaled(const Tensor& rows) const { return scale_ == 1 ? rows : rows * scale_; }
  std::shared_ptr<Weight> weight_;
  double scale_;
};

/// Where a sub-layer's output meets the residual stream.
class ResidualSite : public torch::nn::Module, public Site {
 public:
  ResidualSite(const std::string& path, SiteKind kind, int64_t dim) : Site(path, kind), dim_(dim) {}
  Tensor forward(const Tensor& x, const Tensor& residual, const Batch& batch) const { return run(x, batch, residual); }
  int64_t dim() const { return dim_; }

 private:
  int64_t dim_;
};

/// ... in a pre-norm block: x + residual.
class ResidualAdd : public ResidualSite {
 public:
  ResidualAdd(const std::string& path, SiteKind kind, int64_t dim, at::Device device) : ResidualSite(path, kind, dim), device_(device) {}
  Tensor frozen(const Tensor& x) const override { return x; }
  Tensor frozen(const Tensor& x, const Tensor& residual, const Batch&) const override { return residual + x; }
  at::Device device() const override { return device_; }

 private:
  at::Device device_;
};

/// What an attention's keys and values begin with.
class KeyValueSeat : public torch::nn::Module, public Site {
 public:
  KeyValueSeat(const std::string& path, int64_t kv_heads, int64_t head_dim, at::Device device)
      : Site(path, SiteKind::key_value), kv_heads_(kv_heads), head_dim_(head_dim), device_(device) {}
  /// [batch, prefix, 2, kv_heads, head_dim] in the given type, or undefined without an adapter; shorter prefixes are padded behind.
  Tensor forward(const Batch& batch, at::ScalarType dtype) const;
  /// Who sees each slot of it: int64 [batch, prefix], ops/attention.h's `everyone`, or -1 for padding. Undefined without an adapter.
  Tensor segments(const Batch& batch) const;
  using Site::frozen;
  Tensor frozen(const Tensor& x) const override { return x; }
  int64_t kv_heads() const { return kv_heads_; }
  int64_t head_dim() const { return head_dim_; }
  at::Device device() const override { return device_; }

 private:
  int64_t kv_heads_, head_dim_;
  at::Device device_;
};

}  // namespace graft
