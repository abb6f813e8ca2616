#pragma once
// What feed-forward layers do between their matrices: an activation, alone or as a gate (Shazeer 2020, "GLU variants improve transformer").
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/ops/fp8_product.h"

namespace graft {

enum class Activation { silu, gelu, gelu_tanh, relu };

/// By the names in config.json; nullopt: another.
std::optional<Activation> activation_named(std::string_view name);
std::string_view name_of(Activation activation);
std::vector<std::string> activation_names();

Tensor activated(const Tensor& x, Activation activation);
/// activated(gate) * up; silu's is ops/swiglu.h.
Tensor gated(const Tensor& gate, const Tensor& up, Activation activation);

// Outside autograd, for a fused block: gate_up is [rows, 2 * width], gate first; matrices may lie in wider ones. silu and gelu_tanh.
// codes: where they are wanted, to_fp8 of `out`, and of d_gate_up.
bool gates_a_fused_block(Activation activation);
kernels::Gate kernel_of(Activation activation);
void gated_into(const Tensor& gate_up, Activation activation, const Tensor& out, Fp8Rows* codes = nullptr);
/// d_gate_up from the gradient of the product, which is rebuilt where `product` is defined. d_gate_up may be gate_up, and product may be grad.
void gated_backward_into(const Tensor& grad, const Tensor& gate_up, Activation activation, const Tensor& d_gate_up, const Tensor& product, Fp8Rows* codes = nullptr);

}  // namespace graft
