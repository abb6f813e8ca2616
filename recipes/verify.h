#pragma once
// A stored merged model against the live one, base and adapter, on sample text.
#include <stop_token>

#include "session.h"

namespace graft {

struct MergeDifference {
  double largest_difference = 0, mean_difference = 0;  // of logits, merged against live
  double kl = 0;                                       // nats a token, of live from merged
  double argmax_agreement = 1;                         // share of positions
};

/// `dtype`: that a large model is compared in.
MergeDifference difference_from_live(const Target& target, const Base& base, const ModelFiles& merged, at::ScalarType dtype,
                                     const std::stop_token& stop);
void log_difference(const MergeDifference& difference, const Log& log);

}  // namespace graft
