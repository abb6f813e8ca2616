#pragma once
// A step played through from its shapes: what lives, by kind, and the fullest moment.
#include <memory>
#include <string>

#include "graft/models/plan.h"

namespace graft {

using Parts = std::vector<PlannedBytes>;
void add(Parts& parts, const std::string& kind, int64_t bytes);

class Tally {
 public:
  /// Bytes that live as long as someone holds them, as a tensor's do.
  using Room = std::shared_ptr<const void>;
  [[nodiscard]] Room hold(const std::string& kind, int64_t bytes);
  /// For a moment.
  void touch(const std::string& kind, int64_t bytes) { change(kind, bytes), change(kind, -bytes); }
  /// What comes from here on is called so.
  void begin(std::string moment) { moment_ = std::move(moment); }

  const Parts& fullest() const { return fullest_; }
  const std::string& fullest_moment() const { return fullest_moment_; }

 private:
  void change(const std::string& kind, int64_t bytes);
  Parts now_, fullest_;
  std::string moment_, fullest_moment_;
  int64_t total_ = 0, most_ = 0;
};

}  // namespace graft
