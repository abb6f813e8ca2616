#pragma once
// The floor under a training step: the time of its frozen matrix products and its attention alone, on random numbers, at that very shape.
// Nothing that trains on this device by these libraries can be faster, so a step's share of it says what is left to win. On a GPU each of the
// two is one CUDA graph of a whole step's worth, so that neither launches nor a cool card flatter it. Non-goals: norms, adapters, the loss, the
// optimizer; windows (attention is taken over whole rows); products in fewer than 16 bits.
#include "graft/core/json.h"
#include "graft/nn/transformer.h"

namespace graft {

struct Floor {
  double products_seconds = 0, attention_seconds = 0;
  double product_flops = 0;
  double seconds() const { return products_seconds + attention_seconds; }
};

struct FloorShape {
  int64_t rows = 1, columns = 2048;
  at::ScalarType dtype = at::kFloat;
  Recompute recompute = Recompute::none;   // what is computed again goes forward twice
};

/// q,k,v and gate,up are fused; each product goes forward and back to its input, the vocabulary's head over all rows. Takes about `seconds` for
/// each of products and attention, at least three times the step's.
Floor measure_floor(const Transformer& outline, const Json& config, const FloorShape& shape, at::Device device, double seconds);

}  // namespace graft
