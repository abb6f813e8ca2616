#pragma once
// Quantisation-aware training round low-rank adapters (fake quantisation with straight-through gradients: Jacob et al. 2018, section 3;
// Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons"): the forward pass multiplies by
// dequantise(quantise(W + s B A)), the backward pass takes the rounding as the identity. Exported and quantised, the model computes just that.
#include <string>

#include "graft/core/log.h"
#include "graft/nn/transformer.h"
#include "graft/quant/options.h"

namespace graft {

/// Wraps the adapters seated under `name`, and seats rounding alone at the other matrices that an export will quantise. RequestErrors: an
/// adapter that is no low-rank update, or one with dropout. Nothing without options.qat.
void add_fake_quantization(Transformer& model, const std::string& name, const QuantizationOptions& options, const Log& log = {});

}  // namespace graft
