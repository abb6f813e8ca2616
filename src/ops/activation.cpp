#include "graft/ops/activation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

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

}  // namespace graft
