#pragma once
// Checkpoints written beside the training. The step is not held up by the disk, and not by the copy either as long as that ends
// before the next step's forward and backward do: those only read what is copied.
#include <filesystem>
#include <future>
#include <optional>

#include "graft/train/checkpoint.h"

namespace graft {

class CheckpointWriter {
 public:
  CheckpointWriter(CheckpointFolder folder, int64_t keep, Log log);
  /// Waits for the writing to end; what it failed at and nobody asked for is a warning.
  ~CheckpointWriter();
  /// Begins to write the tensors as they are now (they are the live ones). One at a time: whoever comes early waits in take()
  /// first.
  void begin(Checkpoint live, const std::string& last_good);
  /// To be called before the live tensors change.
  void await_copy();
  bool busy() const { return written_.valid(); }
  /// The folder of the checkpoint begun last, once; nothing while it is being written, unless `wait`. Throws what the writing
  /// failed at.
  std::optional<std::filesystem::path> take(bool wait);

 private:
  CheckpointFolder folder_;
  int64_t keep_;
  Log log_;
  std::future<void> copied_;
  std::future<std::filesystem::path> written_;
};

}  // namespace graft
