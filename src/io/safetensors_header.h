#pragma once
// The JSON header of a safetensors file, read as its bytes come: no document is built, so a header of 100 MB costs what its
// tensors do.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graft/io/safetensors.h"

namespace graft {

inline constexpr size_t safetensors_header_limit = 100'000'000;

struct HeaderEntry {
  std::string name;
  Dtype dtype{};
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // in the byte buffer
};

struct Header {
  std::vector<HeaderEntry> entries;  // in the file's order
  std::map<std::string, std::string> metadata;
};

/// RequestErrors begin with `file`. Offsets are not checked here.
Header parse_safetensors_header(std::string_view text, const std::string& file);

/// Bytes that a tensor takes; a RequestError beginning with `what` if the product overflows.
uint64_t checked_size(Dtype dtype, const std::vector<int64_t>& shape, std::string_view what);

/// Where a dtype stands in the order in which tensors are written: by falling alignment, as the reference implementation sorts.
int write_rank(Dtype dtype);

}  // namespace graft
