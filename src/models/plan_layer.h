#pragma once
// A layer's part in a step: what its forward pass leaves lying, and what its backward pass holds besides.
#include <memory>

#include "plan_block.h"
#include "plan_tally.h"

namespace graft {

class PlannedLayer {
 public:
  virtual ~PlannedLayer() = default;
  virtual void forward(Tally& tally) = 0;
  /// side: what work beside the pass still reads. first: no layer is above it. Its output's gradient is held by whom it came from.
  virtual void backward(Tally& tally, Tally::Room& side, bool first) = 0;
};

/// What plan_block counts of it.
std::unique_ptr<PlannedLayer> plain_layer(const BlockBytes& bytes, Recompute recompute, int64_t input_bytes);

/// What dense weights of a block that can be fused take besides: room for updates in the matrices that they live in; two copies in 8 bits.
int64_t eight_bit_copies(const std::vector<SeatedSite>& sites, const Storage& storage);
int64_t settled_room(const std::vector<SeatedSite>& sites, const Storage& storage, int64_t element);

/// As nn/fused_block runs it. `flows`: whether a gradient is wanted of what comes in; afterwards of what comes out.
std::unique_ptr<PlannedLayer> fused_layer(const std::vector<SeatedSite>& sites, const BlockSetting& setting, bool& flows);

}  // namespace graft
