#pragma once
// Norms with seats: RMSNorm (Zhang & Sennrich 2019), Gemma's form of it, LayerNorm (Ba et al. 2016); and the residual sum of a post-norm
// block, which ends in one.
#include <memory>

#include "graft/nn/layers.h"

namespace graft {

class Norm : public torch::nn::Module, public Site {
 public:
  explicit Norm(const std::string& path) : Site(path, SiteKind::norm) {}
  Tensor forward(const Tensor& x, const Batch& batch) const { return run(x, batch); }
  using Site::frozen;
};

/// What multiplies a normed column: the weight w, or 1 + w.
enum class RmsGain { weight, one_plus_weight };

class RmsNorm : public Norm {
 public:
  RmsNorm(TensorSource& source, const std::string& path, int64_t dim, double eps, RmsGain gain = RmsGain::weight);
  const Tensor& gain() const { return gain_; }   // [dim], what multiplies a normed column
  double eps() const { return eps_; }
  Tensor frozen(const Tensor& x) const override;
  WeightAndBias values() const override { return {weight_.to(at::kFloat), {}}; }
  Tensor apply(const Tensor& x, const WeightAndBias& values) const override;
  at::Device device() const override { return weight_.device(); }

 private:
  Tensor gain_of(const Tensor& weight, at::ScalarType dtype) const;
  RmsGain kind_;
  Tensor weight_, gain_;
  double eps_;
};

class LayerNorm : public Norm {
 public:
  LayerNorm(TensorSource& source, const std::string& path, int64_t dim, double eps);
  Tensor frozen(const Tensor& x) const override;
  Tensor bias() const override { return bias_; }
  WeightAndBias values() const override { return {weight_.to(at::kFloat), bias_.to(at::kFloat)}; }
  Tensor apply(const Tensor& x, const WeightAndBias& values) const override;
  at::Device device() const override { return weight_.device(); }

 private:
  Tensor weight_, bias_;
  double eps_;
};

enum class NormKind { rms, rms_plus_one, layer };
std::shared_ptr<Norm> make_norm(NormKind kind, TensorSource& source, const std::string& path, int64_t dim, double eps);

/// Where a sub-layer's output meets the residual stream of a post-norm block: norm(x + residual). The norm is a site of its own, and runs
/// through its seat here too.
class ResidualNorm : public ResidualSite {
 public:
  ResidualNorm(const std::string& path, SiteKind kind, std::shared_ptr<LayerNorm> norm, int64_t dim)
      : ResidualSite(path, kind, dim), norm_(std::move(norm)) {}
  Tensor frozen(const Tensor& x) const override { return x; }
  Tensor frozen(const Tensor& x, const Tensor& residual, const Batch& batch) const override { return norm_->forward(x + residual, batch); }
  at::Device device() const override { return norm_->device(); }

 private:
  std::shared_ptr<LayerNorm> norm_;
};

}  // namespace graft
