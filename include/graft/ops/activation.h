#pragma once
// What feed-forward layers do between their matrices: an activation, alone or as a gate (Shazeer 2020, "GLU variants improve transformer").
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

enum class Activation { silu, gelu, gelu_tanh, relu };

/// By the names in config.json; nullopt: another.
std::optional<Activation> activation_named(std::string_view name);
std::string_view name_of(Activation activation);
std::vector<std::string> activation_names();

Tensor activated(const Tensor& x, Activation activation);
/// activated(gate) * up; silu's is ops/swiglu.h.
Tensor gated(const Tensor& gate, const Tensor& up, Activation activation);

}  // namespace graft
