#pragma once
// Checkpoints: a folder step-N holding everything a run needs to go on, to the bit. Written aside, synced, renamed; its manifest, with
// the size and hash of every file, is written last: a folder without a valid manifest does not exist.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/log.h"
#include "graft/core/tensor.h"
#include "graft/data/batches.h"
#include "graft/train/guard.h"

namespace graft {

/// All of a run's memory, beside the tensors.
struct TrainState {
  int64_t step = 0;                 // steps done, skipped ones counted
  DataCursor cursor;
  int64_t skipped = 0, skipped_in_row = 0;
  double loss_scale = 1;            // fp16
  int64_t good_steps = 0;           // since the loss scale last changed
  std::optional<double> best;       // the best evaluation's metric, and where
  int64_t best_step = 0, worse_evals = 0;
  double trained_targets = 0;
  NormWatch norms;
  Json to_json() const;
  static TrainState from_json(const Json& json);
};

struct Checkpoint {
  TrainState state;
  TensorMap adapter;                // all that it holds, by parameters' names
  TensorMap optimizer;
  Json facts;                       // what the run depends on: fingerprints of base and data, threads, versions
  std::string job;                  // the resolved job as YAML
};

/// A checkpoint that the disk did not take.
class NotWritten : public Error {
 public:
  using Error::Error;
};

/// runs/x/checkpoints
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path folder, Log log = {});
  /// Writes step-N; then removes all but the last `keep` and the best. NotWritten: earlier ones are untouched.
  std::filesystem::path write(const Checkpoint& checkpoint, int64_t keep) const;
  /// Steps of the checkpoints whose files are all there, by their sizes, ascending; others are named in a warning and left.
  std::vector<int64_t> steps() const;
  Checkpoint read(int64_t step) const;   // RequestError if damaged: names the file
  /// The latest that is undamaged; damaged ones are named in a warning.
  std::optional<Checkpoint> read_last() const;
  std::filesystem::path path(int64_t step) const;

 private:
  std::vector<int64_t> listed() const;   // all that have a manifest
  std::filesystem::path folder_;
  Log log_;
};

}  // namespace graft
