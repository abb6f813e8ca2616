#pragma once
// The passes of a gated product (ops/activation.h) with what low-rank updates of its neighbours (nn/folded_linears.h) ask of what it writes: narrow products
// with their factors and sums over tokens, made while it is at hand. What is written is not read again for them, and the product is not rebuilt in memory.
#include <array>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/ops/activation.h"

namespace graft {

/// Of updates that such passes serve.
inline constexpr int64_t most_gate_rank = kernels::gate_rank;

/// Whether there are such passes over matrices like these: on a GPU in 16 bits, with the shared memory of Hopper's. Where there are none: ops/activation.h.
bool gate_takes_updates(const std::vector<Tensor>& matrices, int64_t width);

/// out as gated_into has it, and narrow = out factors^T, [rows, pad] of [pad, width]: 16 of them at most are not zeros, the first; copy: the same.
void gated_updates_into(const Tensor& gate_up, Activation activation, const Tensor& out, const Tensor& factors, const Tensor& narrow, const Tensor& copy);

/// The backward pass's updates: of the layer behind the product, and of gate and up, whose columns begin at `first`.
struct GateUpdates {
  Tensor product;                    // [rows, 16]: what the product is summed against
  Tensor gate_up;                    // [rows, pad]: what their gradients are, 16 columns each
  Tensor factors;                    // [2 * width, pad]: B, with 16 columns in each half that are not zeros
  std::array<int64_t, 2> first{};    // multiples of 8
};
/// fp32 (float64 of float64), in parts that are to be added up.
struct GateSums {
  Tensor product;     // [parts, 16, width]
  Tensor gradients;   // [parts, first[1] + 16, 2 * width]: 16 rows from first[h] on in the columns of half h; the rest is not set
};
/// d_gate_up, which may be gate_up, as gated_backward_into has it; narrow = d_gate_up factors, [rows, pad]; and sums. The CPU's text writes the product onto grad.
GateSums gated_backward_updates_into(const Tensor& grad, const Tensor& gate_up, Activation activation, const GateUpdates& updates, const Tensor& d_gate_up, const Tensor& narrow);

}  // namespace graft
