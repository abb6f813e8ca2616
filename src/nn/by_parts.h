#pragma once
// A mixed batch part by part.
#include <ATen/ATen.h>

#include <vector>

#include "graft/nn/batch.h"

namespace graft {

/// f(rows of x that a part has, the part), put together again; the batch itself where it has no parts.
template <class F>
Tensor by_parts(const Tensor& x, const Batch& batch, F&& f) {
  if (!batch.parts) return f(x, batch);
  std::vector<Tensor> rows;
  int64_t begin = 0;
  for (const Batch& part : *batch.parts) {
    rows.push_back(f(x.narrow(0, begin, part.ids.size(0)), part));
    begin += part.ids.size(0);
  }
  return at::cat(rows);
}

}  // namespace graft
