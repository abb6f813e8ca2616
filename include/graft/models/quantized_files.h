#pragma once
// Quantised tensors in safetensors folders. What bitsandbytes can hold (nf4, fp4, int8 by row) is written as transformers saves it
// (transformers integrations/bitsandbytes; bitsandbytes functional.QuantState), the rest in a layout of graft's own that only graft reads.
#include <string>

#include "graft/core/json.h"
#include "graft/core/tensor.h"
#include "graft/quant/quantized_tensor.h"

namespace graft {

/// As config.json spells it: float32, float16, bfloat16.
std::string torch_name(at::ScalarType dtype);

/// Whether transformers and bitsandbytes can load tensors of this scheme.
bool fits_bitsandbytes(const Scheme& scheme);

/// The file's tensors for weight `name`; `dtype`: the type that it is dequantised to by default.
TensorMap file_tensors(const std::string& name, const QuantizedTensor& tensor, at::ScalarType dtype);

/// config.json's quantization_config. `skipped`: modules that stay dense.
Json quantization_config(const Scheme& scheme, at::ScalarType dtype, const std::vector<std::string>& skipped);

}  // namespace graft
