#pragma once
// GGUF v2/v3 (ggml docs/gguf.md), little-endian: keys, tensor infos, and dequantisation of the block types that graft reads: F32, F16,
// BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K. Every length, offset and product is checked against the file before use.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graft/io/mapped_file.h"

namespace graft {

struct GgufArray;
/// u8..i64 come as int64/uint64, f32/f64 as double.
using GgufValue = std::variant<int64_t, uint64_t, double, bool, std::string, GgufArray>;
struct GgufArray {
  uint32_t type = 0;                 // GGUF's own type number
  std::vector<int64_t> integers;     // integer and bool items
  std::vector<double> reals;
  std::vector<std::string> strings;
  size_t size() const { return integers.size() + reals.size() + strings.size(); }
};

/// ggml's numbers of the types that graft writes.
enum GgmlTypeId : uint32_t { ggml_f32 = 0, ggml_f16 = 1, ggml_q4_0 = 2, ggml_q8_0 = 8, ggml_q4_k = 12, ggml_bf16 = 30 };

struct GgufTensor {
  uint32_t type = 0;                 // ggml type number
  std::vector<int64_t> shape;        // as PyTorch has it (outermost first)
  std::span<const std::byte> bytes;
};

class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& file);   // RequestError naming file, key or tensor, and fault
  const std::filesystem::path& path() const { return file_.path(); }
  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue, std::less<>>& keys() const { return keys_; }
  /// The keys as they lie in the file, in its order: type number and value.
  const std::vector<std::pair<std::string, std::span<const std::byte>>>& raw_keys() const { return raw_keys_; }
  const std::vector<std::string>& tensor_names() const { return names_; }
  bool contains(std::string_view tensor) const;
  const GgufTensor& tensor(std::string_view name) const;

  /// A key, or nothing if absent; a RequestError if it has another type.
  std::optional<std::string> string(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> real(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  const GgufArray* array(std::string_view key) const;      // nullptr if absent

 private:
  MappedFile file_;
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> keys_;
  std::vector<std::pair<std::string, std::span<const std::byte>>> raw_keys_;
  std::vector<std::string> names_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
};

/// ggml's name of a type number ("Q4_K"), or "type N".
std::string ggml_type_name(uint32_t type);
/// Values of elements [begin, begin + out.size()) in fp32; begin and size are multiples of the block (32 or 256; 1 for plain types).
/// RequestError for a type that graft does not read.
void dequantize(const GgufTensor& tensor, size_t begin, std::span<float> out);
size_t ggml_block_size(uint32_t type);
/// What whole blocks of so many elements take.
size_t ggml_bytes(uint32_t type, size_t elements);
/// Whole blocks of F32, F16, BF16, Q8_0, Q4_0 or Q4_K, as ggml's own reference makes them; out has ggml_bytes.
void quantize(uint32_t type, std::span<const float> values, std::span<std::byte> out);

}  // namespace graft
