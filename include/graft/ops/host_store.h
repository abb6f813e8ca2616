#pragma once
// Tensors that wait in the host's memory from a forward pass to its backward pass (Unsloth's and torchtune's "activation offloading"). Copies run on a
// stream of their own, beside the work: what was put last is asked for first, and the one put before it is fetched meanwhile. On the CPU they stay.
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <optional>

#include "graft/core/tensor.h"

namespace graft {

class HostStore {
 public:
  struct Slot {
    Tensor host, fetched;              // fetched: on its device again, once `ready`
    std::optional<c10::Event> ready;
    std::weak_ptr<Slot> before;        // what was put before it
  };
  std::shared_ptr<Slot> put(const Tensor& x);
  Tensor take(Slot& slot);

 private:
  void fetch(Slot& slot) const;
  std::optional<c10::Stream> stream_;
  std::weak_ptr<Slot> last_;
};

}  // namespace graft
