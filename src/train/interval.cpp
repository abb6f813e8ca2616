#include "graft/train/interval.h"

#include <charconv>
#include <cmath>

#include "graft/core/error.h"

namespace graft {
namespace {

constexpr struct {
  std::string_view name;
  double seconds;
} units[] = {{"s", 1},        {"second", 1}, {"seconds", 1}, {"m", 60},       {"min", 60},  {"minute", 60},
             {"minutes", 60}, {"h", 3600},   {"hour", 3600}, {"hours", 3600}, {"steps", 0}, {"", 0}};

}  // namespace

Interval read_interval(std::string_view key, std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  if (error == std::errc() && std::isfinite(number) && number >= 0)
    for (const auto& known : units)
      if (unit == known.name) {
        if (known.seconds > 0) return {0, number * known.seconds};
        if (number == std::floor(number) && number < 0x1p53) return {static_cast<int64_t>(number), 0};
      }
  refuse("{}: '{}' is neither a number of steps (200) nor a time (10 minutes, 10m, 1.5 h)", key, text);
}

}  // namespace graft
