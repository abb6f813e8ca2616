#pragma once
// Forward and backward passes as CUDA graphs, one a shape of a pass, for where a GPU would wait for launches: small models and short rows. Goals: a pass is one
// launch from the third time on that its shape is seen; results as without, to the bit where attention and products are deterministic. Columns and
// labelled rows are padded to a few sizes, so that shapes come again. Non-goals: the optimizer's few launches, which hide behind the pass.
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "graft/ops/captured.h"
#include "graft/train/micro_batch.h"

namespace graft {

class StepGraphs {
 public:
  /// replays: false only pads, so that a run is the same to the bit with graphs or without.
  explicit StepGraphs(Transformer& model, bool replays = true);
  /// Whether such passes can be captured: all blocks are fused, nothing but updates of their matrices trains, and the model is on a GPU.
  static bool can_capture(const Transformer& model, const std::string& adapter);
  /// Whether passes of this size would wait for launches: larger ones are not captured.
  static bool waits_for_launches(int64_t tokens, int64_t hidden_size);
  /// As the function of micro_batch.h. The parameters' gradients stay where they are from one call to the next (AdamW's do).
  void add_gradients(const std::vector<LaidOut>& pass);
  size_t size() const { return graphs_.size(); }
  bool replays() const { return replays_; }

 private:
  using Shape = std::vector<std::tuple<std::string, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>>;   // of each adapter: rows, columns, labelled, texts, the longest and shared
  struct Graph {
    std::vector<Placed> pass;       // the tensors that it reads, and the totals that it adds to
    std::function<void()> replay;   // empty: the shape was seen once
  };
  void replay(Graph& graph, const std::vector<LaidOut>& pass);
  /// What is apart for each of several adapters, masks of dropout or gains, sends their pass the plain way.
  bool goes_fused(const std::vector<LaidOut>& pass) const;
  Transformer& model_;
  bool replays_;
  Capturer capturer_;
  std::map<Shape, Graph> graphs_;
};

}  // namespace graft
