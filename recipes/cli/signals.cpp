#include "signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <thread>

#include "graft/report/progress.h"

namespace graft::cli {

struct Signals::State {
  std::stop_source source;
  std::mutex mutex;
  std::function<void()> interrupt;

  void receive(int signal) {
    std::function<void()> action;
    {
      const std::lock_guard lock(mutex);
      if (signal == SIGINT) action = interrupt;
    }
    if (action) return action();
    if (source.stop_requested()) std::_Exit(3);
    show(stderr, "\nstopping: finishes what cannot be cut off, then saves (once more: stops at once)\n");
    source.request_stop();
  }
};

Signals::Signals() : state_(std::make_shared<State>()) {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, state = state_] {
    for (int signal = 0;; state->receive(signal)) sigwait(&signals, &signal);
  }).detach();
}

std::stop_token Signals::stop() const { return state_->source.get_token(); }

void Signals::on_interrupt(std::function<void()> action) {
  const std::lock_guard lock(state_->mutex);
  state_->interrupt = std::move(action);
}

void fill_standard_streams() {
  while (true) {
    const int file = open("/dev/null", O_RDWR);  // takes the lowest free number
    if (file > 2) close(file);
    if (file > 2 || file < 0) return;
  }
}

}  // namespace graft::cli
