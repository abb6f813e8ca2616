#pragma once
// Products in 8 bits: both sides as e4m3 (Micikevicius et al. 2022, "FP8 formats for deep learning"), each row with a scale that makes its largest magnitude
// 448, sums in fp32. On the CPU, and for types that have no such products, the same numbers multiplied as they are: the meaning.
#include "graft/core/tensor.h"
#include "graft/kernels/block.h"

namespace graft {

/// value * scale, a scale a row. A row with a number that is not finite has the scale NaN.
struct Fp8Rows {
  Tensor values;   // e4m3 [rows, columns]
  Tensor scales;   // fp32 [rows, 1]
};
/// x: [rows, columns], rows that may lie in wider ones.
Fp8Rows to_fp8(const Tensor& x);
/// x^T, by scales [columns, 1] that were made of it once.
Fp8Rows turned_to_fp8(const Tensor& x, const Tensor& scales);
/// Room for what to_fp8 makes, for a kernel that makes it while it writes x.
Fp8Rows room_for_fp8(const Tensor& x);
kernels::Fp8Codes codes_of(const Fp8Rows& rows);
/// y = x weights^T (+ added, which may be y): [rows, out] of [rows, in] and [out, in]; y in the type of what x was made from.
void fp8_product_into(const Fp8Rows& x, const Fp8Rows& weights, const Tensor& y, const Tensor& added = {});

}  // namespace graft
