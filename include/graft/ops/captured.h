#pragma once
// Work that is the same each time: on a GPU captured once as a CUDA graph and replayed with one launch. On the CPU it is the work itself.
#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace graft {

/// A stream, and the memory of graphs that never run at once.
class Capturer {
 public:
  explicit Capturer(c10::Device device);
  ~Capturer();
  /// Does the work on its stream, in order with the current one.
  void run(const std::function<void()>& work) const;
  /// Notes the work's launches instead of making them; what comes back makes them, on its stream in order with the current one. The work must have
  /// run before (libraries make handles and choose kernels in their first runs), touch the same tensors each time, and wait for nothing.
  std::function<void()> capture(const std::function<void()>& work) const;

 private:
  struct State;
  std::shared_ptr<State> state_;   // null on the CPU
};

/// The same for work that may run a few times before it counts.
std::function<void()> captured(c10::Device device, std::function<void()> work);

}  // namespace graft
