#pragma once
// A Weight that keeps codes. Products go through a dense copy that lives as long as the call; one or a few rows of 4-bit codes are
// multiplied as they are (generation).
#include "graft/quant/quantized_tensor.h"
#include "graft/quant/weight.h"

namespace graft {

class QuantizedWeight : public Weight {
 public:
  /// `dtype`: the type it computes in.
  QuantizedWeight(QuantizedTensor value, at::ScalarType dtype);
  int64_t out_features() const override { return value_.shape[0]; }
  int64_t in_features() const override { return value_.shape[1]; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return value_.device(); }
  Tensor dense(at::ScalarType dtype) const override;
  void dense_into(const Tensor& rows) const override;
  bool keeps_dense() const override { return kept_.defined(); }
  void settle(const Tensor& rows) override { kept_ = Tensor(rows).copy_(kept_); }
  Tensor rows(const Tensor& ids) const override;
  Tensor matmul(const Tensor& x) const override;
  const QuantizedTensor& value() const { return value_; }
  /// Keeps the dense copy from now on, or lets it go: results are the same to the bit.
  void keep_dense(bool keep) const { kept_ = keep ? dequantize(value_, dtype_) : Tensor(); }

 private:
  QuantizedTensor value_;
  at::ScalarType dtype_;
  mutable Tensor kept_;   // a cache: it changes no result
};

/// x as a weight: dense in `dtype` without a scheme, else quantised from the type it comes in.
std::shared_ptr<Weight> make_weight(const Tensor& x, const std::optional<Scheme>& scheme, at::ScalarType dtype, std::string_view name);

/// Few rows of 4-bit codes: x W^T in fp32 without a dense copy. x: [vectors, columns] -> [vectors, rows].
Tensor matvec(const QuantizedTensor& weight, const Tensor& x);
bool has_matvec(const QuantizedTensor& weight, const Tensor& x);

}  // namespace graft
