#pragma once
// Products of many rows with a few columns, as low-rank updates have them on both ways: bound by reading the rows once.
#include "graft/core/tensor.h"

namespace graft {

/// Copies that are made on the way, where they are defined.
struct NarrowCopies {
  Tensor narrow, x;
};
/// narrow = x factors, [rows, pad] of [rows, columns] and [columns, pad], whose columns from `used` on are zeros; sums in fp32, rounded once. Any of them may
/// lie in wider matrices, the factors as a transposed view.
void narrow_product_into(const Tensor& x, const Tensor& factors, int64_t used, const Tensor& narrow, const NarrowCopies& copies = {});

}  // namespace graft
