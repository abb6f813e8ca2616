#pragma once
// Faults of single samples: the first are kept, all are counted.
#include "graft/core/error.h"

namespace graft {

class FaultList {
 public:
  void add(const std::string& fault) {
    if (++count_ <= shown) errors_.add("{}", fault);
  }
  void raise() {
    if (count_ > shown) errors_.add("... and {} more", count_ - shown);
    errors_.raise(fmt::format("the data has {} fault{}:", count_, count_ == 1 ? "" : "s"));
  }

 private:
  static constexpr size_t shown = 20;
  ErrorList errors_;
  size_t count_ = 0;
};

}  // namespace graft
