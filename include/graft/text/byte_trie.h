#pragma once
// Strings by their bytes, to find every one at the front of a text: open addressing, for this is the innermost look-up.
#include <cstdint>
#include <string_view>
#include <vector>

namespace graft {

class ByteTrie {
 public:
  /// `bytes`: at least as many as all strings have together.
  explicit ByteTrie(size_t bytes);
  static constexpr uint32_t root = 0, none = UINT32_MAX;

  void add(std::string_view text, int32_t value);
  uint32_t step(uint32_t node, char byte) const;
  uint32_t walk(uint32_t node, std::string_view text) const;
  int32_t value(uint32_t node) const { return values_[node]; }  // -1: no string ends here

 private:
  struct Edge {
    uint64_t key = ~uint64_t{0};
    uint32_t node = none;
  };
  size_t slot(uint64_t key) const;
  std::vector<Edge> edges_;
  std::vector<int32_t> values_{-1};
};

}  // namespace graft
