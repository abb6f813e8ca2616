#pragma once
#include "graft/core/tensor.h"

namespace graft {

/// x W^T, [.., in] and [out, in] -> [.., out], outside autograd, by the fastest that LibTorch has: oneDNN for fp32 on a CPU, where at::mm takes a slower
/// library. Either may be a transpose.
Tensor product(const Tensor& x, const Tensor& weight);

/// y = x W (+ added, which may be y): [rows, in] and [in, out], matrices that may lie in wider ones; the sum is taken in fp32 and rounded once. In 16 bits on a
/// GPU it is cuBLASLt's, by the algorithm that was fastest here among those which its heuristic names, tried once for each shape; by the heuristic's first
/// where LibTorch is told to be deterministic.
void product_into(const Tensor& x, const Tensor& weight, const Tensor& y, const Tensor& added = {});

}  // namespace graft
