#pragma once
// The thin header for tensors: no module, no autograd (those are in the precompiled header of the .cpp files).
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace graft {

using at::Tensor;

/// All that goes to disk: names in order.
using TensorMap = std::map<std::string, Tensor>;

}  // namespace graft
