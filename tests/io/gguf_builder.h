#pragma once
// Makes small GGUF files, good and bad, for the tests.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "temporary.h"

namespace graft {

inline std::string gguf_string(std::string_view text) { return bytes_of<uint64_t>(text.size()) + std::string(text); }

struct GgufBuilder {
  uint32_t version = 3;
  std::vector<std::string> keys, tensors;  // as they are in the file
  std::string data;
  size_t alignment = 32;

  GgufBuilder& key(std::string_view name, uint32_t type, std::string_view value) {
    keys.push_back(gguf_string(name) + bytes_of(type) + std::string(value));
    return *this;
  }
  /// Dimensions innermost first, as in the file.
  GgufBuilder& tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    std::string info = gguf_string(name) + bytes_of(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) info += bytes_of(dim);
    tensors.push_back(info + bytes_of(type) + bytes_of(offset));
    return *this;
  }
  std::string bytes() const {
    std::string out = "GGUF" + bytes_of(version) + bytes_of<uint64_t>(tensors.size()) + bytes_of<uint64_t>(keys.size());
    for (const auto& part : keys) out += part;
    for (const auto& part : tensors) out += part;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data;
  }
};

}  // namespace graft
