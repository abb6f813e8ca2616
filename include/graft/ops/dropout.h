#pragma once
// Dropout as a function: the mask of an element is Philox(seed, step, site, segment, position, column), so it is never stored, and
// packing, recompute and resume see the same one.
#include "graft/core/tensor.h"
#include "graft/kernels/api.h"

namespace graft {

/// x: [batch, time, dim]; segments, positions: int64 [batch, time]; p in [0, 1).
Tensor dropout(const Tensor& x, double p, kernels::DropoutKey key, const Tensor& segments, const Tensor& positions);

}  // namespace graft
