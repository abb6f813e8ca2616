#pragma once
#include <optional>
#include <string_view>

namespace graft {

/// The offset of the first byte that is not UTF-8 (or is NUL).
std::optional<size_t> first_bad_byte(std::string_view text);

}  // namespace graft
