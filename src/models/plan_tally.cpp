#include "plan_tally.h"

#include <algorithm>

namespace graft {

void add(Parts& parts, const std::string& kind, int64_t bytes) {
  if (bytes == 0) return;
  const auto same = std::ranges::find(parts, kind, &PlannedBytes::kind);
  if (same == parts.end())
    parts.push_back({kind, bytes});
  else
    same->bytes += bytes;
}

Tally::Room Tally::hold(const std::string& kind, int64_t bytes) {
  change(kind, bytes);
  return {this, [this, kind, bytes](const void*) { change(kind, -bytes); }};
}

void Tally::change(const std::string& kind, int64_t bytes) {
  add(now_, kind, bytes);
  total_ += bytes;
  if (total_ <= most_) return;
  most_ = total_, fullest_ = now_, fullest_moment_ = moment_;
  std::erase_if(fullest_, [](const PlannedBytes& part) { return part.bytes == 0; });
}

}  // namespace graft
