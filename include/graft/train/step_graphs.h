#pragma once
// Forward and backward passes as CUDA graphs, one a shape, for where a GPU would wait for launches: small models and short rows. Goals: a pass is one
// launch from the third time on that its shape is seen; results as without, to the bit where attention and products are deterministic. Columns and
// labelled rows are padded to a few sizes, so that shapes come again. Non-goals: the optimizer's few launches, which hide behind the pass.
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "graft/ops/captured.h"
#include "graft/train/micro_batch.h"

namespace graft {

class StepGraphs {
 public:
  StepGraphs(Transformer& model, std::string adapter);
  /// Whether such passes can be captured: all blocks are fused, nothing is drawn anew in each step, and the model is on a GPU.
  static bool can_capture(const Transformer& model, const std::string& adapter);
  /// Whether passes of this size would wait for launches: larger ones are not captured.
  static bool waits_for_launches(int64_t rows, int64_t columns, int64_t hidden_size);
  /// As the function of micro_batch.h. The parameters' gradients stay where they are from one call to the next (AdamW's do).
  void add_gradients(const HostBatch& host, const StepContext& context, const Tensor& weight, const Tensor& share, Tensor& total);
  size_t size() const { return graphs_.size(); }

 private:
  using Shape = std::tuple<int64_t, int64_t, int64_t, bool>;   // rows, columns, labelled, packed
  struct Graph {
    MicroBatch placed;
    std::function<void()> replay;   // empty: the shape was seen once
  };
  void replay(Graph& graph, const HostBatch& host, const Tensor& weight, const Tensor& share, Tensor& total);
  Transformer& model_;
  std::string adapter_;
  Capturer capturer_;
  Tensor weight_, share_, total_;   // what the graphs read and add to
  std::map<Shape, Graph> graphs_;
};

}  // namespace graft
