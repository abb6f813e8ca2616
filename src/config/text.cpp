#include "text.h"

#include <cmath>

#include "graft/core/error.h"

namespace graft {

std::string number_text(double value) {
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  if (std::isnan(value)) return ".nan";
  return fmt::format("{}", value);
}

std::string bounds_text(const Bounds& bounds) {
  std::string text;
  if (!std::isinf(bounds.low)) text = (bounds.low_excluded ? "more than " : "at least ") + number_text(bounds.low);
  if (std::isinf(bounds.high)) return text;
  return (text.empty() ? "" : text + " and ") + "at most " + number_text(bounds.high);
}

std::string bounds_fault(double value, const Bounds& bounds, const std::string& shown) {
  const bool low_ok = bounds.low_excluded ? value > bounds.low : value >= bounds.low;
  if (low_ok && value <= bounds.high) return "";
  return "must be " + bounds_text(bounds) + ", got " + shown;
}

}  // namespace graft
