#pragma once
// How often: in steps ("200") or in time ("10 minutes", "10m", "30 s", "2 hours").
#include <cstdint>
#include <string_view>

namespace graft {

struct Interval {
  int64_t steps = 0;   // 0: not by steps
  double seconds = 0;  // 0: not by time
};

/// RequestError naming `key` if the text is neither.
Interval read_interval(std::string_view key, std::string_view text);

}  // namespace graft
