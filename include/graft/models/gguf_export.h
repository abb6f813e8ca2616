#pragma once
// A model in a GGUF's terms: keys that say its shape, tensors for its rotary positions, its weights' rows as llama.cpp has them.
// What the keys cannot say shows when they are read back: gguf_differences compares the shape that a reader makes of them with
// the model's.
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/io/gguf_writer.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"
#include "graft/nn/decoder_shape.h"

namespace graft {

/// The family of a model that llama.cpp runs, and its shape. RequestError: a family or a task that it does not.
struct GgufModel {
  GgufModel(const Json& config, const Transformer& outline);
  const Family& family;
  const GgufForm& form;
  DecoderShape shape;
};

std::vector<GgufKey> gguf_shape_keys(const GgufModel& model);
/// rope_freqs.weight (llama3), or rope_factors_long.weight and rope_factors_short.weight (longrope): fp32, one value a pair of
/// columns.
TensorMap gguf_rope_tensors(const DecoderShape& shape);
/// A weight, bias or factor B by its transformers name, its rows in llama.cpp's order: for interleaved rotation where the family
/// wants it.
Tensor gguf_rows(const GgufModel& model, const std::string& name, const Tensor& tensor);
/// The same of a whole tensor: a Gemma norm's weight is 1 + w.
Tensor gguf_tensor(const GgufModel& model, const std::string& name, const Tensor& tensor);

/// In what two shapes' models compute differently, in words; empty: in nothing.
std::vector<std::string> gguf_differences(const DecoderShape& model, const DecoderShape& read);

}  // namespace graft
