#pragma once
// Makes SentencePiece's charsmaps: a block of the double array for every string's every byte.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace graft {

struct CharsmapBuilder {
  std::vector<uint32_t> units = std::vector<uint32_t>(256);
  std::string replacements;

  CharsmapBuilder& add(const std::string& text, const std::string& replacement) {
    size_t node = 0;
    for (const char byte : text) {
      const size_t child = children(node) ^ static_cast<unsigned char>(byte);
      units[child] |= static_cast<unsigned char>(byte);
      node = child;
    }
    const size_t value = children(node);
    units[node] |= 1U << 8;
    units[value] = 1U << 31 | static_cast<uint32_t>(replacements.size());
    replacements += replacement + '\0';
    return *this;
  }
  std::string bytes() const {
    std::string out = little_endian(static_cast<uint32_t>(4 * units.size()));
    for (const uint32_t unit : units) out += little_endian(unit);
    return out + replacements;
  }

 private:
  static std::string little_endian(uint32_t value) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> 8 * i);
    return out;
  }
  /// Where the children of a node are; a new block if it has none yet.
  size_t children(size_t node) {
    const auto [block, is_new] = blocks_.try_emplace(node, units.size());
    if (is_new) {
      units.resize(units.size() + 256);
      units[node] |= static_cast<uint32_t>(node ^ block->second) << 10;
    }
    return block->second;
  }
  std::map<size_t, size_t> blocks_;
};

}  // namespace graft
