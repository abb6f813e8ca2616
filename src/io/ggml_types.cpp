#include "ggml_types.h"

#include "ggml_pack.h"
#include "ggml_unpack.h"
#include "graft/core/error.h"
#include "graft/io/gguf.h"

namespace graft {
namespace {

constexpr GgmlType types[] = {
    {0, "F32", 1, 4, unpack_f32, pack_f32},        {1, "F16", 1, 2, unpack_f16, pack_f16},        {2, "Q4_0", 32, 18, unpack_q4_0, pack_q4_0},
    {3, "Q4_1", 32, 20, unpack_q4_1},    {6, "Q5_0", 32, 22, unpack_q5_0},    {7, "Q5_1", 32, 24, unpack_q5_1},
    {8, "Q8_0", 32, 34, unpack_q8_0, pack_q8_0},    {9, "Q8_1", 32, 36, nullptr},        {10, "Q2_K", 256, 84, nullptr},
    {11, "Q3_K", 256, 110, nullptr},     {12, "Q4_K", 256, 144, unpack_q4_k, pack_q4_k}, {13, "Q5_K", 256, 176, unpack_q5_k},
    {14, "Q6_K", 256, 210, unpack_q6_k}, {15, "Q8_K", 256, 292, nullptr},     {16, "IQ2_XXS", 256, 66, nullptr},
    {17, "IQ2_XS", 256, 74, nullptr},    {18, "IQ3_XXS", 256, 98, nullptr},   {19, "IQ1_S", 256, 50, nullptr},
    {20, "IQ4_NL", 32, 18, nullptr},     {21, "IQ3_S", 256, 110, nullptr},    {22, "IQ2_S", 256, 82, nullptr},
    {23, "IQ4_XS", 256, 136, nullptr},   {24, "I8", 1, 1, nullptr},           {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},          {27, "I64", 1, 8, nullptr},          {28, "F64", 1, 8, nullptr},
    {29, "IQ1_M", 256, 56, nullptr},     {30, "BF16", 1, 2, unpack_bf16, pack_bf16},     {34, "TQ1_0", 256, 54, nullptr},
    {35, "TQ2_0", 256, 66, nullptr},     {39, "MXFP4", 32, 17, nullptr},      {40, "NVFP4", 64, 36, nullptr},
    {41, "Q1_0", 128, 18, nullptr},
};

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) {
  for (const GgmlType& type : types)
    if (type.id == id) return &type;
  return nullptr;
}

std::string ggml_type_name(uint32_t type) {
  const GgmlType* found = find_ggml_type(type);
  return found ? std::string(found->name) : fmt::format("type {}", type);
}

size_t ggml_block_size(uint32_t type) {
  const GgmlType* found = find_ggml_type(type);
  require(found != nullptr, "ggml tensor type {} is unknown", type);
  return found->block;
}

size_t ggml_bytes(uint32_t type, size_t elements) { return elements / ggml_block_size(type) * find_ggml_type(type)->bytes; }

void quantize(uint32_t type, std::span<const float> values, std::span<std::byte> out) {
  const GgmlType* found = find_ggml_type(type);
  check(found && found->pack, "GGUF tensors of {} are not written", ggml_type_name(type));
  check(values.size() % found->block == 0 && out.size() == ggml_bytes(type, values.size()),
        "quantize: {} values in blocks of {} do not make {} bytes", values.size(), found->block, out.size());
  if (!values.empty()) found->pack(values.data(), values.size() / found->block, reinterpret_cast<uint8_t*>(out.data()));
}

void dequantize(const GgufTensor& tensor, size_t begin, std::span<float> out) {
  const GgmlType* type = find_ggml_type(tensor.type);
  require(type && type->unpack,
          "GGUF tensors of {} cannot be read; graft reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, "
          "Q5_K and Q6_K: convert the model again with one of these types",
          ggml_type_name(tensor.type));
  const size_t elements = tensor.bytes.size() / type->bytes * type->block;
  check(begin % type->block == 0 && out.size() % type->block == 0 && begin <= elements && out.size() <= elements - begin,
        "dequantize: elements {} to {} of a tensor of {} in blocks of {}", begin, begin + out.size(), elements, type->block);
  if (out.empty()) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.bytes.data());
  type->unpack(bytes + begin / type->block * type->bytes, out.size() / type->block, out.data());
}

}  // namespace graft
