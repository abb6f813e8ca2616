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
};

class Linear : public torch::nn::Module, public Site {
 public:
  Linear(TensorSource& source, const std::string& path, int64_t in, int64_t out, bool bias);
  Linear(const std::string& path, std::shared_ptr<Weight> weight);   // a head tied to the embedding
  Tensor forward(const Tensor& x, const Batch& batch) const { return run(x, batch); }
  Tensor frozen(const Tensor& x) const override;
  Tensor frozen_linear(const Tensor& x) const override { return frozen_matmul(x, *weight_); }
  const Weight* weight() const override { return weight_.get(); }
  Tensor bias() const override { return bias_; }

 private:
  std::shared_ptr<Weight> weight_;
  Tensor bias_;
};

class Embedding : public torch::nn::Module, public Site {
 public:
  Embedding(TensorSource& source, const std::string& path, int64_t count, int64_t dim);
  Tensor forward(const Tensor& ids, const Batch& batch) const { return run(ids, batch); }
  Tensor frozen(const Tensor& ids) const override { return weight_->rows(ids); }
  const Weight* weight() const override { return weight_.get(); }
  std::shared_ptr<Weight> shared_weight() const { return weight_; }

 private:
  std::shared_ptr<Weight> weight_;
};

class RmsNorm : public torch::nn::Module, public Site {
 public:
  RmsNorm(TensorSource& source, const std::string& path, int64_t dim, double eps);
  Tensor forward(const Tensor& x, const Batch& batch) const { return run(x, batch); }
  Tensor frozen(const Tensor& x) const override;

 private:
  Tensor weight_;
  double eps_;
};

}  // namespace graft
