#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// The offset of the first byte that is not UTF-8 (or is NUL).
std::optional<size_t> first_bad_byte(std::string_view text);

/// yaml-cpp gives one byte for the escapes \N (U+0085) and \_ (U+00A0), which is no UTF-8: their two, in a scalar of a text that is UTF-8.
std::string with_whole_escapes(std::string scalar);

}  // namespace graft
