#include "gguf_values.h"

namespace graft {
namespace {

// GGUF's own numbers of value types.
enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, list, u64, i64, f64 };
constexpr size_t value_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};  // the least that a value takes in the file

bool read_bool(Cursor& in) {
  const auto byte = in.read<uint8_t>("value");
  require(byte <= 1, "{}: a bool is 0 or 1, not {}", in.where(), byte);
  return byte == 1;
}

// Any integer type but u64, whose values may not fit.
int64_t read_integer(Cursor& in, uint32_t type) {
  switch (type) {
    case u8:
      return in.read<uint8_t>("value");
    case i8:
      return in.read<int8_t>("value");
    case u16:
      return in.read<uint16_t>("value");
    case i16:
      return in.read<int16_t>("value");
    case u32:
      return in.read<uint32_t>("value");
    case i32:
      return in.read<int32_t>("value");
    case i64:
      return in.read<int64_t>("value");
    default:
      refuse("{}: unknown value type {}", in.where(), type);
  }
}

void read_item(Cursor& in, GgufArray& array) {
  switch (array.type) {
    case f32:
      array.reals.push_back(in.read<float>("items"));
      break;
    case f64:
      array.reals.push_back(in.read<double>("items"));
      break;
    case text:
      array.strings.push_back(in.string("items"));
      break;
    case boolean:
      array.integers.push_back(read_bool(in));
      break;
    case u64:
      array.integers.push_back(signed_value(in.read<uint64_t>("items"), in.where()));
      break;
    default:
      array.integers.push_back(read_integer(in, array.type));
  }
}

GgufArray read_array(Cursor& in) {
  GgufArray array;
  array.type = in.read<uint32_t>("item type");
  require(array.type != list, "{}: arrays of arrays are not read", in.where());
  require(array.type <= f64, "{}: unknown item type {}", in.where(), array.type);
  const uint64_t count = in.count("item count", value_bytes[array.type]);
  for (uint64_t i = 0; i < count; ++i) read_item(in, array);
  return array;
}

}  // namespace

int64_t signed_value(uint64_t value, const std::string& where) {
  require(value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), "{}: {} is too large an integer", where, value);
  return static_cast<int64_t>(value);
}

GgufValue read_gguf_value(Cursor& in, uint32_t type) {
  switch (type) {
    case f32:
      return double{in.read<float>("value")};
    case f64:
      return in.read<double>("value");
    case boolean:
      return read_bool(in);
    case text:
      return in.string("value");
    case list:
      return read_array(in);
    case u64:
      return in.read<uint64_t>("value");
    default:
      return read_integer(in, type);
  }
}

}  // namespace graft
