#include <ATen/ATen.h>

#include "graft/models/quantized_files.h"
#include "quantized_layout.h"

namespace graft {
namespace {

Tensor text_bytes(const std::string& text) {
  return at::from_blob(const_cast<char*>(text.data()), {static_cast<int64_t>(text.size())}, at::TensorOptions(at::kByte)).clone();
}

TensorMap four_bit_tensors(const std::string& name, const QuantizedTensor& q, at::ScalarType dtype) {
  const bool nf4 = q.scheme.format->codec == kernels::Codec::nf4;
  Json state = {{"quant_type", nf4 ? "nf4" : "fp4"}, {"blocksize", q.scheme.block_size}, {"dtype", torch_name(dtype)}, {"shape", q.shape}};
  TensorMap tensors;
  tensors[name] = q.codes.view({-1, 1});
  tensors[layout::join(name, layout::quant_map)] = at::from_blob(const_cast<float*>(kernels::code_points(q.scheme.format->codec)), {16}, at::TensorOptions(at::kFloat)).clone();
  if (q.scale_codes.defined()) {
    state["nested_blocksize"] = kernels::nested_group, state["nested_dtype"] = "float32", state["nested_offset"] = q.offset;
    tensors[layout::join(name, layout::absmax)] = q.scale_codes;
    tensors[layout::join(name, layout::nested_absmax)] = q.nested_scale;
    tensors[layout::join(name, layout::nested_map)] = q.map;
  } else {
    tensors[layout::join(name, layout::absmax)] = q.scale;
  }
  tensors[layout::join(name, nf4 ? layout::nf4_state : layout::fp4_state)] = text_bytes(state.dump());
  return tensors;
}

TensorMap int8_tensors(const std::string& name, const QuantizedTensor& q) {
  return {{name, q.codes.view(at::kChar).view(q.shape)}, {layout::beside(name, layout::scb), q.scale},
          {layout::beside(name, layout::weight_format), at::zeros({}, at::kByte)}};
}

TensorMap own_tensors(const std::string& name, const QuantizedTensor& q, at::ScalarType dtype) {
  const Scheme& scheme = q.scheme;
  const Json state = {{"format", std::string(scheme.format->name)},
                      {"granularity", scheme.grouping == Grouping::block ? "block" : scheme.grouping == Grouping::row ? "row" : "tensor"},
                      {"block_size", scheme.block_size},
                      {"double_quantization", scheme.double_quantization},
                      {"clip", scheme.clip == Scheme::Clip::mse ? "mse" : scheme.clip == Scheme::Clip::percentile ? "percentile" : "none"},
                      {"clip_percentile", scheme.clip_percentile},
                      {"shape", q.shape},
                      {"dtype", torch_name(dtype)},
                      {"offset", q.offset}};
  TensorMap tensors{{name, q.codes}, {layout::join(name, layout::graft_state), text_bytes(state.dump())}};
  const auto add = [&](std::string_view part, const Tensor& value) {
    if (value.defined()) tensors[layout::join(name, part)] = value;
  };
  add(layout::scale, q.scale), add(layout::scale_codes, q.scale_codes), add(layout::nested_scale, q.nested_scale), add(layout::zero, q.zero);
  return tensors;
}

}  // namespace

std::string torch_name(at::ScalarType dtype) { return dtype == at::kFloat ? "float32" : dtype == at::kHalf ? "float16" : "bfloat16"; }

bool fits_bitsandbytes(const Scheme& scheme) {
  const kernels::Codec codec = scheme.format->codec;
  return codec == kernels::Codec::nf4 || codec == kernels::Codec::fp4 || (codec == kernels::Codec::int8_absmax && scheme.grouping == Grouping::row);
}

TensorMap file_tensors(const std::string& name, const QuantizedTensor& given, at::ScalarType dtype) {
  const QuantizedTensor q = given.to(at::kCPU);
  if (!fits_bitsandbytes(q.scheme)) return own_tensors(name, q, dtype);
  return q.scheme.format->code_bits == 4 ? four_bit_tensors(name, q, dtype) : int8_tensors(name, q);
}

Json quantization_config(const Scheme& scheme, at::ScalarType dtype, const std::vector<std::string>& skipped) {
  if (!fits_bitsandbytes(scheme)) return {{"quant_method", "graft"}, {"format", std::string(scheme.format->name)}, {"description", describe(scheme)}};
  const bool four = scheme.format->code_bits == 4;
  return {{"quant_method", "bitsandbytes"},
          {"load_in_4bit", four},
          {"load_in_8bit", !four},
          {"_load_in_4bit", four},
          {"_load_in_8bit", !four},
          {"bnb_4bit_quant_type", four ? std::string(scheme.format->name) : "fp4"},
          {"bnb_4bit_use_double_quant", scheme.double_quantization},
          {"bnb_4bit_compute_dtype", torch_name(dtype)},
          {"bnb_4bit_quant_storage", "uint8"},
          {"llm_int8_threshold", 0.0},   // no outlier columns are split off
          {"llm_int8_skip_modules", skipped.empty() ? Json() : Json(skipped)},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false}};
}

}  // namespace graft
