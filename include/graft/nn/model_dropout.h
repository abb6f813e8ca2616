#pragma once
// The dropout that a model brings itself (encoders do), in training alone: ops/dropout.h's function of the pass's seed and step. Rows of a
// mixed batch take their own part's.
#include <cstdint>
#include <string>

#include "graft/nn/batch.h"

namespace graft {

struct ModelDropout {
  double share = 0;
  uint32_t site = 0;   // hash of the path

  ModelDropout() = default;
  ModelDropout(const std::string& path, double p);
  bool active(const Batch& batch) const { return share > 0 && batch.training; }
  /// x: [batch, time, dim], or picked tokens' [tokens, dim] with their batch (tokens_of).
  Tensor operator()(const Tensor& x, const Batch& batch) const;
  /// Of attention's weights, [batch, heads, queries, keys]. A mask's row is a head and a query's position, its column a key's position,
  /// with a prefix's keys in front: packed rows drop what single ones do.
  Tensor of_attention(const Tensor& weights, const Batch& batch) const;
};

}  // namespace graft
