#pragma once
// ggml's element types: how many elements a block holds, how many bytes it takes, and how graft reads it.
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace graft {

struct GgmlType {
  uint32_t id;
  std::string_view name;
  size_t block;                                                  // elements
  size_t bytes;                                                  // of a block
  void (*unpack)(const uint8_t* in, size_t blocks, float* out);  // null: graft knows its size but does not read it
  void (*pack)(const float* in, size_t blocks, uint8_t* out) = nullptr;  // null: graft does not write it
};

/// nullptr for a number that graft does not know.
const GgmlType* find_ggml_type(uint32_t id);

}  // namespace graft
