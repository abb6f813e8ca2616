#pragma once
// A frozen [out, in] matrix that knows how to be dense again. Goals: one place where a product with frozen weights is defined, its only
// gradient being that of its input; no dense copy survives a call. Non-goals: training (adapters do).
#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "graft/core/tensor.h"
#include "graft/ops/linear_cross_entropy.h"

namespace graft {

class Weight : public torch::nn::Module {
 public:
  virtual int64_t out_features() const = 0;
  virtual int64_t in_features() const = 0;
  virtual at::ScalarType dtype() const = 0;                    // the type it computes in
  virtual Tensor dense(at::ScalarType dtype) const = 0;        // the meaning, and the oracle: [out, in]
  /// The same into rows [out, in] that may lie in wider ones.
  virtual void dense_into(const Tensor& rows) const { rows.copy_(dense(rows.scalar_type())); }
  /// Whether it lies there dense; then it can be moved into such rows, of its type and device, to stay there.
  virtual bool keeps_dense() const { return false; }
  virtual void settle(const Tensor& rows) {}
  virtual Tensor rows(const Tensor& ids) const;                // [..] -> [.., in]: embeddings, tied heads
  virtual Tensor matmul(const Tensor& x) const;                // x W^T: [.., in] -> [.., out]
  virtual Tensor matmul_grad(const Tensor& g) const;           // g W: [.., out] -> [.., in]
  virtual at::Device device() const = 0;
};

/// 16 or 32 bits, as it is.
class DenseWeight : public Weight {
 public:
  explicit DenseWeight(Tensor value);
  int64_t out_features() const override { return value_.size(0); }
  int64_t in_features() const override { return value_.size(1); }
  at::ScalarType dtype() const override { return value_.scalar_type(); }
  at::Device device() const override { return value_.device(); }
  Tensor dense(at::ScalarType dtype) const override { return value_.to(dtype); }
  bool keeps_dense() const override { return true; }
  void settle(const Tensor& rows) override;

 private:
  Tensor value_;
};

/// A weight as the head of a loss.
FrozenHead frozen_head(const Weight& weight);

/// x W^T. The one autograd node of frozen products: gradient for x only; keeps no dense copy.
Tensor frozen_matmul(const Tensor& x, const Weight& weight);

}  // namespace graft
