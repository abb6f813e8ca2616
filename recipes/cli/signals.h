#pragma once
// What Ctrl-C and SIGTERM mean, and standard streams that are not there.
#include <functional>
#include <memory>
#include <stop_token>

namespace graft::cli {

class Signals {
 public:
  /// Blocks them for every thread to come and takes them on a thread of its own, where anything may be done. The first asks for a
  /// stop; a second one ends the program at once.
  Signals();
  std::stop_token stop() const;
  /// From now on Ctrl-C calls this instead.
  void on_interrupt(std::function<void()> action);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Opens /dev/null where standard input, output or error is closed: else the next file, a checkpoint perhaps, takes its number
/// and the program's messages are written into it.
void fill_standard_streams();

}  // namespace graft::cli
