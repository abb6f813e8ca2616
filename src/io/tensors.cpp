#include "graft/io/tensors.h"

#include <ATen/ATen.h>

#include <cstring>

#include "graft/core/error.h"

namespace graft {
namespace {

struct DtypePair {
  Dtype file;
  at::ScalarType torch;
};
constexpr DtypePair dtype_pairs[] = {
    {Dtype::BOOL, at::kBool},     {Dtype::U8, at::kByte},    {Dtype::I8, at::kChar},   {Dtype::I16, at::kShort},
    {Dtype::U16, at::kUInt16},    {Dtype::F16, at::kHalf},   {Dtype::BF16, at::kBFloat16}, {Dtype::I32, at::kInt},
    {Dtype::U32, at::kUInt32},    {Dtype::F32, at::kFloat},  {Dtype::F64, at::kDouble}, {Dtype::I64, at::kLong},
    {Dtype::U64, at::kUInt64},    {Dtype::F8_E4M3, at::kFloat8_e4m3fn}, {Dtype::F8_E5M2, at::kFloat8_e5m2},
};

}  // namespace

at::ScalarType scalar_type(Dtype dtype) {
  for (const auto& pair : dtype_pairs)
    if (pair.file == dtype) return pair.torch;
  fail("no tensor type for {}", dtype_name(dtype));
}

Dtype file_dtype(at::ScalarType dtype) {
  for (const auto& pair : dtype_pairs)
    if (pair.torch == dtype) return pair.file;
  fail("tensors of type {} cannot be written to safetensors", at::toString(dtype));
}

Tensor to_tensor(const TensorView& view) {
  Tensor tensor = at::empty(view.shape, at::TensorOptions(scalar_type(view.dtype)));
  if (!view.bytes.empty()) std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

Tensor to_tensor(const TensorView& view, at::ScalarType dtype) {
  const at::ScalarType stored = scalar_type(view.dtype);
  const bool aligned = reinterpret_cast<uintptr_t>(view.bytes.data()) % element_size(view.dtype) == 0;
  if (stored == dtype || !aligned || view.bytes.empty()) return to_tensor(view).to(dtype);
  // Converted straight from the mapped pages: the file's bytes are never copied.
  void* pages = const_cast<std::byte*>(view.bytes.data());
  return at::from_blob(pages, view.shape, at::TensorOptions(stored)).to(dtype);
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  check(tensor.is_contiguous() && tensor.device().is_cpu(), "bytes_of needs a contiguous tensor on the CPU");
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.nbytes())};
}

TensorMap load_tensors(const std::filesystem::path& file) {
  const SafetensorsFile in(file);
  TensorMap tensors;
  for (const auto& name : in.names()) tensors[name] = to_tensor(in.tensor(name));
  return tensors;
}

void save_tensors(const std::filesystem::path& file, const TensorMap& tensors, std::map<std::string, std::string> metadata) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back({name, file_dtype(tensor.scalar_type()), tensor.sizes().vec()});
  SafetensorsWriter out(file, std::move(entries), std::move(metadata));
  for (const auto& [name, tensor] : tensors) out.write(name, bytes_of(tensor.detach().cpu().contiguous()));
  out.finish();
}

}  // namespace graft
