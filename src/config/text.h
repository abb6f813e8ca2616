#pragma once
// Words that messages, help and schema share.
#include <string>

#include "graft/config/shape.h"

namespace graft {

/// "at least 1", "more than 0 and at most 1" or "".
std::string bounds_text(const Bounds& bounds);
/// Why `value` is out of bounds ("must be at least 1, got 0") or "".
std::string bounds_fault(double value, const Bounds& bounds, const std::string& shown);
/// The shortest text that reads back equal.
std::string number_text(double value);

}  // namespace graft
