#pragma once
// What a plan is made of: facts of the model, bytes of the base, what the adapters hold, operations.
#include <map>

#include "plan_block.h"

namespace graft {

using Parts = std::vector<PlannedBytes>;
void add(Parts& parts, const std::string& kind, int64_t bytes);

/// What the adapter holds and trains: made to be counted, and let go. Trained values of the base are counted by their shapes.
struct Adapters {
  int64_t held = 0, trained = 0, prompt = 0, prefix = 0;
  int64_t head_gradient = 0;  // of a vocabulary that is trained: its gradient comes before the others ...
  bool tied = false;          // ... and, of one that is the embedding too, once more after them
  std::map<const Site*, Taken> seats;
};

struct Blocks {
  std::vector<SeatedSite> outer_front, outer_back;
  std::vector<std::vector<SeatedSite>> layers;
};

ModelFacts facts_of(const Transformer& outline, const Json& config);
void add_base(Parts& parts, const Transformer& outline, const Storage& storage, int64_t element);
/// How many a site holds.
int64_t numbers_of(const Site& site);
Adapters adapters_of(const Transformer& outline, const AdapterOptions& options);
Blocks blocks_of(const Transformer& outline, const Adapters& adapters);
/// Of a token that has a target.
double flops_of(const Transformer& outline, const Blocks& blocks, const Adapters& adapters, const ModelFacts& facts,
                const StepShape& shape);

}  // namespace graft
