#pragma once
// The order of samples and the batches made of them: both a function of (seed, epoch), so that a cursor resumes exactly. Batches are
// grouped by length; the order of batches is shuffled. Packed, a row holds several samples, each with positions and a segment of its own:
// what lies together is chosen once a run, the order of rows anew in each epoch. Where samples share their beginning (a system prompt), a
// micro-batch may be one row that holds it once, in front of what each sample goes on with.
#include <cstdint>
#include <span>
#include <vector>

#include "graft/data/dataset.h"

namespace graft {

/// Of padding, which is no sample's.
inline constexpr int64_t padding_segment = -1;
/// Of a beginning's tokens, which all samples of their row share.
inline constexpr int64_t shared_segment = -2;

/// A micro-batch in host memory; [rows, columns] row-major, right-padded. A sample's tokens lie together.
struct HostBatch {
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> ids;        // padding: 0
  std::vector<int64_t> positions;  // of each token in its sample; padding goes on counting
  std::vector<int64_t> segments;   // which sample of the run's order a token belongs to (unique over epochs), or one of the two above
  std::vector<int64_t> types;      // 1 in the second text of a pair; empty: no sample has one
  std::vector<int64_t> targets;    // the id to predict at each token (the sample's next one, or a class), or -100; a regression: 0 or -100
  std::vector<float> values;       // a regression's targets, at the same places; else empty
  Pooling pooling = Pooling::automatic;   // of texts' labels: cls and mean stand at a row's first column, whatever lies there
  std::vector<int64_t> samples;    // indices into the dataset, in order
  bool packed = false;             // a row may hold several samples
  int64_t shared = 0;              // ... behind so many columns that all of its samples begin with
  int64_t target_count = 0;        // targets that are not -100
  int64_t token_count = 0;         // the samples' tokens, a shared beginning counted with each
};

struct BatchOptions {
  int64_t micro_batch_size = 4;
  int64_t gradient_accumulation_steps = 4;
  uint64_t seed = 42;
  bool shuffle = true;
  int64_t row_length = 0;          // packing: rows of at most so many tokens, of samples for the next token; 0: a row a sample
  int64_t slots = 0;               // ... of which each sample takes so many for virtual tokens
  int64_t shared = 0;              // without packing: tokens that all samples begin with (shared_beginning), to lie in a micro-batch once; 0: a row a sample
};

/// Where the run is in its data.
struct DataCursor {
  int64_t epoch = 0;
  int64_t step_in_epoch = 0;       // optimizer steps taken in this epoch
  bool operator==(const DataCursor&) const = default;
};

class Batches {
 public:
  Batches(Dataset dataset, BatchOptions options);
  /// At least 1 for a dataset of at least one sample: the last step of an epoch may be smaller.
  int64_t steps_per_epoch() const;
  int64_t rows_per_epoch() const;
  /// Each sample as often as its source's `repeat` says.
  int64_t samples_per_epoch() const;
  const DataCursor& cursor() const;
  void seek(const DataCursor& cursor);
  /// The micro-batches of the next optimizer step; moves the cursor (into the next epoch at the end of one).
  std::vector<HostBatch> next();

 private:
  void order_epoch();
  void pack();
  HostBatch packed(std::span<const int64_t> rows, int64_t first_segment) const;
  Dataset dataset_;
  BatchOptions options_;
  DataCursor cursor_;
  std::vector<std::vector<int64_t>> rows_;    // packed: the samples of each row; else empty, a row being a sample
  std::vector<std::vector<int64_t>> steps_;   // this epoch's: rows of each optimizer step
  std::vector<int64_t> first_segments_;       // ... and how many samples of the epoch come before it
  int64_t ordered_epoch_ = -1;
};

/// Batches of at most `rows` samples in order of length, for evaluation: every sample once.
std::vector<std::vector<int64_t>> evaluation_batches(const Dataset& dataset, int64_t rows);
/// Lays samples out as a right-padded batch; `first_segment` numbers the first row's segment. Where a text's label stands, the task says.
HostBatch make_batch(std::span<const SampleView> samples, const Task& task, int64_t first_segment);
/// Rows of several samples side by side, for the next token. shared: tokens that all begin with and none learns; a row begins with them once.
HostBatch make_packed_batch(std::span<const std::vector<SampleView>> rows, int64_t first_segment, int64_t shared = 0);
/// Of a dataset's samples, by their indices, each in a row or behind the beginning that they share.
HostBatch make_batch(const Dataset& dataset, std::span<const int64_t> samples, int64_t first_segment, int64_t shared = 0);

/// Tokens of the longest.
int64_t longest_sample(const Dataset& dataset);
/// How many tokens all samples begin with that a pass may share: the same ids, of which neither they nor the next is learnt (what the last one
/// predicts is each sample's own). 0: too few of them to be worth it in micro-batches of so many samples.
int64_t shared_beginning(const Dataset& dataset, int64_t micro_batch_size);

}  // namespace graft
