#pragma once
// One 64-bit hash for names, cache keys and file contents (FNV-1a with a final mix): stable across machines and releases, because
// what it decides (held-out samples, dropout streams) must not move. Not for security.
#include <cstdint>
#include <string>
#include <string_view>

namespace graft {

class Hash {
 public:
  Hash& add(std::string_view bytes) {
    for (const unsigned char c : bytes) state_ = (state_ ^ c) * 0x100000001b3ULL;
    return *this;
  }
  Hash& add(uint64_t value) {
    for (int i = 0; i < 8; ++i) state_ = (state_ ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3ULL;
    return *this;
  }
  uint64_t value() const {
    uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  /// 16 hexadecimal digits.
  std::string hex() const;

 private:
  uint64_t state_ = 0xcbf29ce484222325ULL;
};

inline uint64_t hash_of(std::string_view bytes) { return Hash().add(bytes).value(); }

}  // namespace graft
