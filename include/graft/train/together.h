#pragma once
// Several adapters trained in one run over one frozen base, each by a trainer of its own.
#include <functional>
#include <stop_token>
#include <vector>

#include "graft/train/trainer.h"

namespace graft {

struct TrainedAdapter {
  Trainer& trainer;
  Observer& observer;
};

/// A step of each in turn, until all are done. Each goes through its own micro-batches, so that it comes out as it would alone, to the bit;
/// with `share_rows` one pass takes the micro-batches of all, which pays where they are small, and equals a solo run but for the rounding of
/// shared products. On a stop request all are saved, and Stopped is thrown; if one fails, the others are saved before that is told.
void train_together(Transformer& model, std::vector<TrainedAdapter>& adapters, bool share_rows, std::stop_token stop = {});

}  // namespace graft
