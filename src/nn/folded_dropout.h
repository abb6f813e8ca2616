#pragma once
#include "graft/nn/folded_linears.h"
#include "graft/ops/dropout.h"

namespace graft {

/// What an update sees of x, or the gradient of what it saw.
inline Tensor dropped(const Tensor& x, const Folded& folded, size_t update) {
  const LowRank& own = folded.updates[update];
  kernels::DropoutKey key = folded.key;
  key.site = own.site;
  return dropout(x, own.dropout, key, folded.segments, folded.positions);
}

}  // namespace graft
