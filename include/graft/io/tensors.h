#pragma once
// Between files and tensors: the only place where io meets torch.
#include <filesystem>
#include <map>
#include <string>

#include "graft/core/tensor.h"
#include "graft/io/safetensors.h"

namespace graft {

at::ScalarType scalar_type(Dtype dtype);
Dtype file_dtype(at::ScalarType dtype);

/// A copy of the view's values as `dtype` on the CPU, alignment not assumed, no second full copy beside the result.
Tensor to_tensor(const TensorView& view, at::ScalarType dtype);
Tensor to_tensor(const TensorView& view);

/// The bytes of a contiguous CPU tensor.
std::span<const std::byte> bytes_of(const Tensor& tensor);

TensorMap load_tensors(const std::filesystem::path& file);
void save_tensors(const std::filesystem::path& file, const TensorMap& tensors, std::map<std::string, std::string> metadata = {});

}  // namespace graft
