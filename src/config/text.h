#pragma once
// Words that messages, help and schema share.
#include <string>

#include "graft/config/shape.h"

namespace graft {

/// "at least 1", "more than 0 and at most 1" or "".
std::string bounds_text(const Bounds& bounds);
/// Why `value` is out of bounds ("must be at least 1, got 0") or "".
std::string bounds_fault(double value, const Bounds& bounds, const std::string& shown);
/// A scalar that a file holds, so that it reads back as what it was: a number or bool stays bare unless it `is_text`.
std::string plain_or_quoted(const std::string& text, bool is_text);
/// The shortest text that reads back equal.
std::string number_text(double value);

}  // namespace graft
