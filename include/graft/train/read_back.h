#pragma once
// Numbers of a device, read without holding up what it is asked to do next.
#include <c10/core/Event.h>

#include <optional>

#include "graft/core/tensor.h"

namespace graft {

class ReadBack {
 public:
  /// Their copy to the host is asked for here; nothing waits for it.
  explicit ReadBack(const Tensor& numbers);
  /// On the CPU; waits until they are there.
  Tensor numbers() const;

 private:
  Tensor host_;
  std::optional<c10::Event> arrived_;   // none: they are the CPU's own
};

}  // namespace graft
