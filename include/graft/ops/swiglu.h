#pragma once
// SwiGLU (Shazeer 2020, "GLU variants improve transformer"): silu(gate) * up. Backward keeps gate and up alone.
#include "graft/core/tensor.h"

namespace graft {

Tensor swiglu(const Tensor& gate, const Tensor& up);
Tensor swiglu_text(const Tensor& gate, const Tensor& up);

}  // namespace graft
