#pragma once
// What a gate's kernels share.
#include <type_traits>

#include "graft/kernels/block.h"

namespace graft::kernels {

/// An activation's value and slope. Both are x sigmoid(f(x)): gelu's approximation by tanh since (1 + tanh(u)) / 2 = sigmoid(2 u).
template <Gate gate>
__device__ float2 activated(float x) {
  constexpr float root = 0.7978845608028654f, cube = 0.044715f;
  const float f = gate == Gate::silu ? x : 2 * root * (x + cube * x * x * x), slope = gate == Gate::silu ? 1.0f : 2 * root * (1.0f + 3.0f * cube * x * x);
  const float s = __fdividef(1.0f, 1.0f + __expf(-f));
  return {x * s, s + x * s * (1.0f - s) * slope};
}

template <class F>
void with_gate(Gate gate, F&& f) {
  if (gate == Gate::silu) f(std::integral_constant<Gate, Gate::silu>{});
  else f(std::integral_constant<Gate, Gate::gelu_tanh>{});
}

}  // namespace graft::kernels
