#pragma once
// Work for which nobody waits soon, on a stream of its own beside the current one's. On the CPU it is done at once.
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <functional>
#include <optional>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

class SideWork {
 public:
  /// Begins work that comes after what the current stream was asked for so far, and behind the work begun before, which is joined. held: what it
  /// reads and nobody may write to before the join; the first is where it runs.
  void begin(std::vector<Tensor> held, const std::function<void()>& work);
  /// What the current stream is asked for from now on comes after the work.
  void join();

 private:
  std::optional<c10::Stream> stream_;
  std::optional<c10::Event> done_;
  std::vector<Tensor> held_;
};

}  // namespace graft
