#pragma once
// One parallel pass over all sources' records, in bounded memory: threads take turns to read a chunk, work on it side by side,
// and hand their results over in the order of the file.
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "graft/core/error.h"

namespace graft {

/// `read` fills a chunk (false at the end) and `write` takes a result: each is called by one thread at a time, in order. `work`
/// is called by several. The first exception ends the pass and is thrown on. At most one chunk a thread is held.
template <class Chunk, class Result>
class OrderedPass {
 public:
  std::function<bool(Chunk&)> read;
  std::function<Result(const Chunk&)> work;
  std::function<void(Result&&)> write;

  void run(std::stop_token stop) {
    const unsigned count = std::max(1u, std::thread::hardware_concurrency());
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < count; ++i) threads.emplace_back([this, stop] { serve(stop); });
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void serve(const std::stop_token& stop) {
    try {
      while (one_chunk(stop)) {
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      turn_.notify_all();
    }
  }

  bool one_chunk(const std::stop_token& stop) {
    Chunk chunk;
    size_t number = 0;
    {
      const std::lock_guard lock(reading_);
      if (stop.stop_requested()) throw Stopped("stopped while the data was read");
      if (ended_ || !read(chunk)) {
        ended_ = true;
        return false;
      }
      number = taken_++;
    }
    Result result = work(chunk);
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return written_ == number || failure_; });
    if (failure_) return false;
    write(std::move(result));
    ++written_;
    turn_.notify_all();
    return true;
  }

  std::mutex reading_, mutex_;
  std::condition_variable turn_;
  size_t taken_ = 0, written_ = 0;
  bool ended_ = false;
  std::exception_ptr failure_;
};

}  // namespace graft
