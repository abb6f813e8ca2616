#pragma once
// A tensor as codes and constants: what a frozen base keeps and what its files hold. CPU and GPU give identical bytes.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/kernels/api.h"
#include "graft/quant/options.h"

namespace graft {

struct QuantizedTensor {
  Scheme scheme;
  std::vector<int64_t> shape;
  Tensor codes{};        // uint8 [count], or [(count + 1) / 2] of 4 bits: the first in the high half
  Tensor scale{};        // fp32 [groups]: largest magnitude, or an affine code's step; undefined if doubly quantised, then:
  Tensor scale_codes{};  // uint8 [groups]
  Tensor nested_scale{}; // fp32 [groups / 256]
  float offset = 0;      // of the scales' mean
  Tensor map{};          // fp32 [256], the dynamic map on the codes' device
  Tensor zero{};         // int8 [groups], affine formats

  int64_t count() const;
  int64_t group() const;     // numbers that share constants
  int64_t columns() const;   // the last dimension
  int64_t bytes() const;     // codes and constants
  at::Device device() const { return codes.device(); }
  QuantizedTensor to(at::Device device) const;
  kernels::Packed packed() const;
};

int64_t group_size(const Scheme& scheme, at::IntArrayRef shape);
int64_t group_count(const Scheme& scheme, at::IntArrayRef shape);

/// Any shape and layout, fp32, bf16 or fp16, on either device. An Error naming `name`, the first bad element and their number if a value
/// is not finite. The scales' mean is summed in one fixed order in float64.
QuantizedTensor quantize(const Tensor& x, const Scheme& scheme, std::string_view name);

/// The same with the scales kept in fp32 beside: what a report needs of the range (lo, hi by group) that the scheme chose.
struct Ranges {
  Tensor low, high;      // fp32 [groups]
};
Ranges group_ranges(const Tensor& x, const Scheme& scheme);

/// fp32, bf16, fp16 (or float64, through fp32), in one pass.
Tensor dequantize(const QuantizedTensor& tensor, at::ScalarType dtype);

/// Up to four matrices of one format into rows of one destination, in one launch: out[i] is a [rows, columns] view with unit column stride.
void dequantize_into(std::span<const QuantizedTensor* const> tensors, std::span<const Tensor> out);

}  // namespace graft
