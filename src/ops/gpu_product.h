#pragma once
// Products by cuBLASLt, which says how many ways it has for one and takes C apart from D; LibTorch's own have its first way only.
#include "graft/core/tensor.h"

namespace graft {

/// y = x w (+ added), as product_into; x and w in 16 bits, or in e4m3 with fp32 scales, one a row of x and one a column of w. False: it has no way for this,
/// and nothing was done.
bool gpu_product(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& added, const Tensor& x_scales = {}, const Tensor& w_scales = {});

}  // namespace graft
