#pragma once
// What a plan is made of: facts of the model, bytes of the base, what the adapters hold, operations.
#include <map>

#include "plan_block.h"
#include "plan_tally.h"

namespace graft {

/// What the adapter holds and trains: seated to be counted, and let go. Trained values of the base are counted by their shapes.
struct Adapters {
  int64_t held = 0, trained = 0, prompt = 0, prefix = 0;
  int64_t flat = 0;           // what is trained as AdamW lays it out
  int64_t head_gradient = 0;  // of a vocabulary that is trained: its gradient comes before the others ...
  bool tied = false;          // ... and, of one that is the embedding too, once more after them
  std::map<const Site*, SeatedSite> seats;
  std::vector<bool> fused, fusable;   // layers: with this adapter, with none
};

struct LayerSites {
  std::vector<SeatedSite> sites;
  bool fused = false, fusable = false;
};

struct Blocks {
  std::vector<SeatedSite> outer_front, outer_back;
  std::vector<LayerSites> layers;
};

/// All of a plan but the step's shape.
struct PlanSubject {
  const Transformer& outline;
  Json config;
  Storage storage;
  AdapterOptions adapter;
  QuantizationOptions quantization;
  ModelFacts facts;
  Adapters adapters;
  Blocks blocks;
};

/// Sets the plan's memory and moments.
void play_step(const PlanSubject& subject, const StepShape& shape, StepPlan& plan);

ModelFacts facts_of(const Transformer& outline, const Json& config);
void add_base(Parts& parts, const Transformer& outline, const Storage& storage, int64_t element);
/// How many a site holds.
int64_t numbers_of(const Site& site);
Adapters adapters_of(Transformer& outline, const AdapterOptions& options, const QuantizationOptions& quantization);
Blocks blocks_of(const Transformer& outline, const Adapters& adapters);
/// Of a token that has a target.
double flops_of(const Transformer& outline, const Blocks& blocks, const Adapters& adapters, const ModelFacts& facts,
                const StepShape& shape);

}  // namespace graft
