#pragma once
// safetensors files (huggingface/safetensors, format of 0.8): read through a mapped file, trusting no byte; written aside and renamed.
// Goals: every rule of the format's own validator; alignment never assumed. Non-goals: torch (see core/tensor.h for tensors).
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/io/mapped_file.h"

namespace graft {

/// Element types of the files that graft reads; names as safetensors spells them.
enum class Dtype { BOOL, U8, I8, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64, F8_E4M3, F8_E5M2 };
size_t element_size(Dtype dtype);
std::string_view dtype_name(Dtype dtype);

struct TensorView {
  Dtype dtype{};
  std::vector<int64_t> shape;         // row-major; empty: a scalar
  std::span<const std::byte> bytes;   // may be unaligned
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& file);   // RequestError naming file, tensor and fault
  /// Names in the order of the data.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(std::string_view name) const;
  const TensorView& tensor(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  std::vector<std::string> names_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Writes one file: tensors are announced first (so that the header is known), then their bytes are given in any order, one at a time;
/// finish() checks that all came, syncs and renames. Destroyed before finish(): nothing is left.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    Dtype dtype{};
    std::vector<int64_t> shape;
  };
  SafetensorsWriter(const std::filesystem::path& file, std::vector<Entry> entries, std::map<std::string, std::string> metadata = {});
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();
  void write(std::string_view name, std::span<const std::byte> bytes);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
