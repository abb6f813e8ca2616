#pragma once
// Writes one GGUF v3 file, little-endian: keys and tensors are announced first, then tensors' values come in any order, one at a
// time.
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/io/gguf.h"

namespace graft {

/// A key, and its type number and value as they lie in a file.
struct GgufKey {
  std::string name, bytes;
};
GgufKey gguf_key(std::string name, uint32_t value);
GgufKey gguf_key(std::string name, float value);
GgufKey gguf_flag(std::string name, bool value);
GgufKey gguf_key(std::string name, std::string_view value);
inline GgufKey gguf_key(std::string name, const char* value) { return gguf_key(std::move(name), std::string_view(value)); }
GgufKey gguf_key(std::string name, const std::vector<std::string>& values);
GgufKey gguf_key(std::string name, const std::vector<int32_t>& values);
GgufKey gguf_key(std::string name, const std::vector<float>& values);

/// finish() checks that all tensors came, syncs and renames. Destroyed before finish(): nothing is left.
class GgufWriter {
 public:
  struct Entry {
    std::string name;
    uint32_t type = ggml_f32;
    std::vector<int64_t> shape;  // as PyTorch has it
    size_t elements() const;
  };
  GgufWriter(const std::filesystem::path& file, const std::vector<GgufKey>& keys, const std::vector<Entry>& entries);
  GgufWriter(GgufWriter&&) noexcept;
  ~GgufWriter();
  /// A tensor's blocks.
  void write(std::string_view name, std::span<const std::byte> bytes);
  /// The file so far, as long as it is to be, where a reader can look at its keys.
  const std::filesystem::path& aside() const;
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
