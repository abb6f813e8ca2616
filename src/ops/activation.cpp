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

kernels::Gate kernel_of(Activation activation) { return activation == Activation::silu ? kernels::Gate::silu : kernels::Gate::gelu_tanh; }

namespace {

Tensor slope(const Tensor& x, Activation activation) {
  const Tensor one = at::ones_like(x);
  return activation == Activation::silu ? at::silu_backward(one, x) : at::gelu_backward(one, x, "tanh");
}

/// Whether the gate's kernels, which read these, make codes on the way.
bool makes_codes(int64_t width, std::initializer_list<Tensor> all) {
  return width % 8 == 0 && width <= kernels::gated_codes_width && std::ranges::all_of(all, [](const Tensor& x) { return in_sixteen_bits(x) && in_eights(x); });
}

/// f(where it puts codes of x, which it writes); codes that it does not make are made of x.
template <class F>
void with_codes(const Tensor& x, Fp8Rows* wanted, bool on_the_way, F&& f) {
  if (wanted && on_the_way) *wanted = room_for_fp8(x);
  f(wanted && on_the_way ? codes_of(*wanted) : kernels::Fp8Codes());
  if (wanted && !on_the_way) *wanted = to_fp8(x);
}

}  // namespace

void gated_into(const Tensor& gate_up, Activation activation, const Tensor& out, Fp8Rows* codes) {
  const int64_t width = out.size(1);
  if (has_gpu_kernel(out))
    return with_codes(out, codes, makes_codes(width, {gate_up, out}), [&](kernels::Fp8Codes to) {
      kernels::gated_cuda(matrix_of(gate_up), matrix_of(out), to, kernel_of(activation), real_type(out), out.size(0), width, current_stream(out));
    });
  const auto halves = gate_up.to(wide_type(out)).chunk(2, 1);
  out.copy_(activated(halves[0], activation) * halves[1]);
  if (codes) *codes = to_fp8(out);
}

void gated_backward_into(const Tensor& grad, const Tensor& gate_up, Activation activation, const Tensor& d_gate_up, const Tensor& product, Fp8Rows* codes) {
  const int64_t width = grad.size(1);
  if (has_gpu_kernel(grad))
    return with_codes(d_gate_up, codes, makes_codes(width, {grad, gate_up, d_gate_up, product.defined() ? product : grad}), [&](kernels::Fp8Codes to) {
      kernels::gated_backward_cuda(matrix_of(grad), matrix_of(gate_up), matrix_of(d_gate_up), matrix_of(product), to, kernel_of(activation), real_type(grad), grad.size(0), width,
                                   current_stream(grad));
    });
  const auto halves = gate_up.to(wide_type(grad)).chunk(2, 1);
  const Tensor g = grad.to(wide_type(grad)), act = activated(halves[0], activation);
  const Tensor again = act * halves[1], gradient = at::cat({g * halves[1] * slope(halves[0], activation), g * act}, 1);   // before either is written over its input
  d_gate_up.copy_(gradient);
  if (product.defined()) product.copy_(again);
  if (codes) *codes = to_fp8(d_gate_up);
}

}  // namespace graft
