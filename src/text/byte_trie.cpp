#include "graft/text/byte_trie.h"

namespace graft {

ByteTrie::ByteTrie(size_t bytes) {
  size_t size = 16;
  while (size < 2 * bytes) size *= 2;
  edges_.resize(size);
}

/// Where the key is, or would be.
size_t ByteTrie::slot(uint64_t key) const {
  const size_t mask = edges_.size() - 1;
  size_t at = (key * 0x9E3779B97F4A7C15ULL >> 20) & mask;
  while (edges_[at].node != none && edges_[at].key != key) at = (at + 1) & mask;
  return at;
}

uint32_t ByteTrie::step(uint32_t node, char byte) const {
  return edges_[slot(uint64_t{node} << 8 | static_cast<unsigned char>(byte))].node;
}

uint32_t ByteTrie::walk(uint32_t node, std::string_view text) const {
  for (size_t i = 0; i < text.size() && node != none; ++i) node = step(node, text[i]);
  return node;
}

void ByteTrie::add(std::string_view text, int32_t value) {
  uint32_t node = root;
  for (const char byte : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(byte);
    Edge& edge = edges_[slot(key)];
    if (edge.node == none) {
      edge = {key, static_cast<uint32_t>(values_.size())};
      values_.push_back(-1);
    }
    node = edge.node;
  }
  values_[node] = value;
}

}  // namespace graft
