#include "graft/ops/activation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "graft/ops/launch.h"
#include "graft/ops/swiglu.h"

namespace graft {
namespace {

// gelu_new is the same formula, spelled out.
constexpr std::pair<std::string_view, Activation> names[] = {
    {"silu", Activation::silu}, {"gelu", Activation::gelu},  {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"relu", Activation::relu}, {"swish", Activation::silu}, {"gelu_new", Activation::gelu_tanh}};

}  // namespace

std::optional<Activation> activation_named(std::string_view name) {
  const auto found = std::ranges::find(names, name, [](const auto& row) { return row.first; });
  return found == std::end(names) ? std::nullopt : std::optional(found->second);
}

std::string_view name_of(Activation activation) {
  return std::ranges::find(names, activation, [](const auto& row) { return row.second; })->first;
}

std::vector<std::string> activation_names() {
  std::vector<std::string> all;
  for (const auto& [name, activation] : names) all.emplace_back(name);
  return all;
}

Tensor activated(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::relu:
      return at::relu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
  }
  return {};
}

Tensor gated(const Tensor& gate, const Tensor& up, Activation activation) {
  return activation == Activation::silu ? swiglu(gate, up) : activated(gate, activation) * up;
}

bool gates_a_fused_block(Activation activation) { return activation == Activation::silu || activation == Activation::gelu_tanh; }

namespace {

kernels::Gate kernel_of(Activation activation) { return activation == Activation::silu ? kernels::Gate::silu : kernels::Gate::gelu_tanh; }

Tensor slope(const Tensor& x, Activation activation) {
  const Tensor one = at::ones_like(x);
  return activation == Activation::silu ? at::silu_backward(one, x) : at::gelu_backward(one, x, "tanh");
}

}  // namespace

void gated_into(const Tensor& gate_up, Activation activation, const Tensor& out) {
  if (has_gpu_kernel(out))
    return kernels::gated_cuda(matrix_of(gate_up), matrix_of(out), kernel_of(activation), real_type(out), out.size(0), out.size(1), current_stream(out));
  const auto halves = gate_up.to(wide_type(out)).chunk(2, 1);
  out.copy_(activated(halves[0], activation) * halves[1]);
}

void gated_backward_into(const Tensor& grad, const Tensor& gate_up, Activation activation, const Tensor& d_gate_up, const Tensor& product) {
  if (has_gpu_kernel(grad))
    return kernels::gated_backward_cuda(matrix_of(grad), matrix_of(gate_up), matrix_of(d_gate_up), matrix_of(product), kernel_of(activation), real_type(grad), grad.size(0),
                                        grad.size(1), current_stream(grad));
  const auto halves = gate_up.to(wide_type(grad)).chunk(2, 1);
  const Tensor g = grad.to(wide_type(grad)), act = activated(halves[0], activation);
  const Tensor again = act * halves[1], gradient = at::cat({g * halves[1] * slope(halves[0], activation), g * act}, 1);   // before either is written over its input
  d_gate_up.copy_(gradient);
  if (product.defined()) product.copy_(again);
}

}  // namespace graft
