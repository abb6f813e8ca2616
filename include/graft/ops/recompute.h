#pragma once
// Activation recomputation (Chen et al. 2016, "Training deep nets with sublinear memory cost"): keeps a block's input alone and runs the
// block again in the backward pass. Everything random in a block is a function of its inputs, so both runs agree to the bit.
#include <functional>
#include <string_view>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

/// What a training pass keeps of a block for its backward pass: all of it; all but gate and up; its input alone; that in the host's memory. Blocks that
/// are not fused know the first and the third, which stands for the others.
enum class Recompute { none, gate_up, layer, offload };
std::vector<std::string_view> recompute_names();
/// By the names above.
Recompute recompute_named(std::string_view name);

/// block(x), a function of x and of parameters; the block is kept (by value) until the backward pass.
Tensor recompute(const Tensor& x, std::function<Tensor(const Tensor&)> block);

}  // namespace graft
