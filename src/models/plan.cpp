#include "graft/models/plan.h"

#include <algorithm>

#include "plan_parts.h"

namespace graft {
namespace {

/// An update of a block's matrix.
bool is_update(const SeatedSite& seat) { return seat.rank > 0 && seat.site->role() != Role::head; }

}  // namespace

int64_t StepPlan::bytes() const {
  int64_t total = 0;
  for (const auto& part : memory) total += part.bytes;
  return total;
}
int64_t StepPlan::bytes(const std::string& kind) const {
  const auto part = std::ranges::find(memory, kind, &PlannedBytes::kind);
  return part == memory.end() ? 0 : part->bytes;
}

StepPlanner::StepPlanner(Transformer& outline, Json config, Storage storage, AdapterOptions adapter, QuantizationOptions quantization) {
  const ModelFacts facts = facts_of(outline, config);
  const Adapters adapters = adapters_of(outline, adapter, quantization);
  subject_ = std::make_unique<PlanSubject>(PlanSubject{outline, std::move(config), std::move(storage), std::move(adapter), std::move(quantization), facts, adapters,
                                                       blocks_of(outline, adapters)});
}
StepPlanner::~StepPlanner() = default;

int64_t StepPlanner::adapter_bytes() const { return subject_->adapters.held * 4 + subject_->adapters.flat * 12; }

StepPlan StepPlanner::plan(const StepShape& given) const {
  const PlanSubject& s = *subject_;
  StepShape text = given;
  text.columns += s.adapters.prompt;
  StepShape shape = text;
  if (shape.shared > 0) shape.columns = shape.tokens(), shape.rows = 1, shape.packed = true;
  if (given.targets < 0) shape.targets = text.tokens();
  StepPlan plan;
  plan.trained = s.adapters.trained;
  for (const Site* site : s.outline.sites())
    if (!site->shares_weight()) plan.weights += numbers_of(*site);
  plan.hidden_size = s.outline.hidden_size();
  if (shape.fused) plan.fused_layers = std::ranges::count(s.adapters.fused, true);
  plan.replays = plan.fused_layers == s.outline.layers() && s.outline.task().kind == TaskKind::causal_lm &&
                 std::ranges::all_of(s.adapters.seats, [](const auto& seat) { return is_update(seat.second); });
  plan.token_flops = flops_of(s.outline, s.blocks, s.adapters, s.facts, text);
  play_step(s, shape, plan);
  return plan;
}

StepPlan plan_step(Transformer& outline, const Json& config, const Storage& storage, const AdapterOptions& adapter,
                   const QuantizationOptions& quantization, const StepShape& shape) {
  return StepPlanner(outline, config, storage, adapter, quantization).plan(shape);
}

}  // namespace graft
