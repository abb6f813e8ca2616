#pragma once
// The parts of a GGUF file that are read front to back: a checked cursor, and typed values.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "graft/core/error.h"
#include "graft/io/gguf.h"

namespace graft {

/// Every step is checked against what is left of the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string file) : bytes_(bytes), where_(std::move(file)) {}

  size_t position() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  /// What errors name: "file: key 'x'".
  void enter(std::string where) { where_ = std::move(where); }
  const std::string& where() const { return where_; }

  template <class T>
  T read(std::string_view field) {
    require(left() >= sizeof(T), "{}: the file ends in its {} (byte {})", where_, field, at_);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string string(std::string_view field, size_t limit = std::numeric_limits<size_t>::max()) {
    const auto length = read<uint64_t>(field);
    require(length <= left(), "{}: its {} has a length of {} bytes, but {} are left in the file", where_, field, length, left());
    require(length <= limit, "{}: its {} has a length of {} bytes, the format allows {}", where_, field, length, limit);
    std::string value(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    at_ += length;
    return value;
  }

  /// A count of things that take at least `least` bytes each.
  uint64_t count(std::string_view field, size_t least) {
    const auto value = read<uint64_t>(field);
    require(value <= left() / least, "{}: its {} is {}, more than the {} bytes left in the file can hold", where_, field, value,
            left());
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  std::string where_;
};

/// A value of GGUF's type number `type`.
GgufValue read_gguf_value(Cursor& in, uint32_t type);

/// A size as int64; refused if it does not fit.
int64_t signed_value(uint64_t value, const std::string& where);

}  // namespace graft
