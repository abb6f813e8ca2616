#include "graft/data/batches_ahead.h"

#include <chrono>

namespace graft {

BatchesAhead::BatchesAhead(Batches batches, size_t depth) : batches_(std::move(batches)), depth_(depth), cursor_(batches_.cursor()) { begin(); }

void BatchesAhead::begin() {
  maker_ = std::jthread([this](const std::stop_token& stop) { make(stop); });
}

void BatchesAhead::seek(const DataCursor& cursor) {
  maker_ = {};   // stopped and joined
  steps_.clear();
  batches_.seek(cursor);
  cursor_ = cursor;
  begin();
}

void BatchesAhead::make(const std::stop_token& stop) {
  for (bool failed = false; !failed;) {
    Step step = make_one();
    failed = step.failure != nullptr;
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return steps_.size() < depth_; })) return;
    steps_.push_back(std::move(step));
    changed_.notify_all();
  }
}

BatchesAhead::Step BatchesAhead::make_one() try {
  std::vector<HostBatch> micro_batches = batches_.next();
  return {std::move(micro_batches), batches_.cursor(), nullptr};
} catch (...) {
  return {{}, {}, std::current_exception()};
}

std::vector<HostBatch> BatchesAhead::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !steps_.empty(); });
  waited_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (steps_.front().failure) std::rethrow_exception(steps_.front().failure);
  Step step = std::move(steps_.front());
  steps_.pop_front();
  changed_.notify_all();
  cursor_ = step.behind;
  return std::move(step.micro_batches);
}

}  // namespace graft
