#pragma once
// Batches made ahead on a thread of their own, so that no step waits for them. What comes out, and where the run is in its data, is what
// Batches alone would say: the cursor is that of the step taken, whatever is made already.
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "graft/data/batches.h"

namespace graft {

class BatchesAhead {
 public:
  explicit BatchesAhead(Batches batches, size_t depth = 4);
  /// As of Batches. An exception from making a step is thrown where that step would have been taken, and ever after.
  std::vector<HostBatch> next();
  void seek(const DataCursor& cursor);
  const DataCursor& cursor() const { return cursor_; }
  int64_t steps_per_epoch() const { return batches_.steps_per_epoch(); }
  int64_t rows_per_epoch() const { return batches_.rows_per_epoch(); }
  int64_t samples_per_epoch() const { return batches_.samples_per_epoch(); }
  /// Seconds that the last next() waited.
  double waited() const { return waited_; }

 private:
  struct Step {
    std::vector<HostBatch> micro_batches;
    DataCursor behind;             // where the data stands when it has been taken
    std::exception_ptr failure;
  };
  void begin();
  void make(const std::stop_token& stop);
  Step make_one();

  Batches batches_;                // but for its sizes the thread's
  size_t depth_;
  DataCursor cursor_;
  double waited_ = 0;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Step> steps_;
  std::jthread maker_;             // last: it ends before what it uses
};

}  // namespace graft
