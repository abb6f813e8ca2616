#pragma once
#include "graft/core/tensor.h"

namespace graft {

/// x W^T, [.., in] and [out, in] -> [.., out], outside autograd, by the fastest that LibTorch has: oneDNN for fp32 on a CPU, where at::mm takes a slower
/// library. Either may be a transpose.
Tensor product(const Tensor& x, const Tensor& weight);

}  // namespace graft
