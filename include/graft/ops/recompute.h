#pragma once
// Activation recomputation (Chen et al. 2016, "Training deep nets with sublinear memory cost"): keeps a block's input alone and runs the
// block again in the backward pass. Everything random in a block is a function of its inputs, so both runs agree to the bit.
#include <functional>

#include "graft/core/tensor.h"

namespace graft {

/// block(x), a function of x and of parameters; the block is kept (by value) until the backward pass.
Tensor recompute(const Tensor& x, std::function<Tensor(const Tensor&)> block);

}  // namespace graft
