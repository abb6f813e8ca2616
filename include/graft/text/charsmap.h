#pragma once
// SentencePiece's precompiled normalization: a double-array trie (Darts) from strings to what stands in their place. No byte of
// the file is trusted: a trie that leads outside its table is refused when a text leads there.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

class Charsmap {
 public:
  /// The trie's size in bytes (4 bytes, little-endian), the trie's units (4 bytes each), replacements that end in a zero byte.
  Charsmap(std::string_view bytes, std::string_view where);
  /// What stands for the shortest string at the front of `text` that the trie holds (the reference looks no further).
  std::optional<std::string_view> replacement(std::string_view text) const;

 private:
  uint32_t unit(size_t at) const;
  std::string_view text_at(size_t at) const;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

/// Of RFC 4648, padded.
std::string base64_bytes(std::string_view text, std::string_view where);
std::string base64_text(std::string_view bytes);

}  // namespace graft
