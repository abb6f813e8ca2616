#include "graft/models/plan.h"

#include <algorithm>

#include "graft/ops/linear_cross_entropy.h"
#include "plan_parts.h"

namespace graft {
namespace {

int64_t sum(const Parts& parts) {
  int64_t total = 0;
  for (const auto& part : parts) total += part.bytes;
  return total;
}

/// Whether prediction is the frozen head's product: no adapter sits in its way.
bool plain_head(const Transformer& outline, const Adapters& adapters) {
  return outline.task().kind == TaskKind::causal_lm && std::ranges::none_of(adapters.seats, [&](const auto& seat) {
           const Site& site = *seat.first;
           const bool follows = seat.second == Taken::values && site.role() == Role::words && outline.tied_head();
           return site.role() == Role::head || follows;
         });
}

/// A chunk of logits and what is made of them, where no adapter sits in the head's way; else of a recomputed chunk its
/// log-softmax and two gradients.
int64_t loss_bytes(const Transformer& outline, const Adapters& adapters, int64_t targets, int64_t element, int64_t scratch) {
  const int64_t rows = std::min(targets, loss_chunk_rows);
  const int64_t classes = outline.task().kind == TaskKind::causal_lm ? outline.vocab_size() : outline.task().outputs();
  const int64_t logits = rows * classes;
  if (plain_head(outline, adapters))
    return logits * (element < 4 ? element + 8 : 8) + scratch;  // the logits (in fp32, too), and their log-softmax
  const int64_t chunks = (targets + loss_chunk_rows - 1) / loss_chunk_rows;
  return logits * 12 + adapters.head_gradient * (chunks > 1 ? 2 : 1);
}

}  // namespace

int64_t StepPlan::bytes() const { return sum(memory); }
int64_t StepPlan::bytes(const std::string& kind) const {
  const auto part = std::ranges::find(memory, kind, &PlannedBytes::kind);
  return part == memory.end() ? 0 : part->bytes;
}

StepPlan plan_step(const Transformer& outline, const Json& config, const Storage& storage, const AdapterOptions& adapter,
                   const QuantizationOptions& quantization, const StepShape& given) {
  const auto element = static_cast<int64_t>(at::elementSize(given.dtype));
  const ModelFacts facts = facts_of(outline, config);
  const Adapters adapters = adapters_of(outline, adapter);
  const Blocks blocks = blocks_of(outline, adapters);
  StepShape shape = given;
  shape.columns += adapters.prompt;
  const BlockSetting setting{facts, adapter, quantization, storage, shape, adapters.prefix};

  StepPlan plan;
  plan.trained = adapters.trained;
  for (const Site* site : outline.sites())
    if (!site->shares_weight()) plan.weights += numbers_of(*site);
  plan.token_flops = flops_of(outline, blocks, adapters, facts, shape);

  Parts always;
  add_base(always, outline, storage, element);
  add(always, "adapters", adapters.held * 4), add(always, "AdamW's moments", adapters.trained * 8);

  bool flows = false;
  std::map<std::string, int64_t> kept = plan_block(blocks.outer_front, setting, flows).kept;
  const int64_t tokens = shape.rows * shape.columns, row = outline.hidden_size() * element;
  BlockBytes last;
  for (const auto& layer : blocks.layers) {
    last = plan_block(layer, setting, flows);
    if (shape.recompute)
      kept["layers' inputs"] += tokens * row;
    else
      for (const auto& [kind, bytes] : last.kept) kept[kind] += bytes;
  }
  const auto with = [&](const std::map<std::string, int64_t>& activations) {
    Parts parts = always;
    for (const auto& [kind, bytes] : activations) add(parts, "kept: " + kind, bytes);
    return parts;
  };
  const int64_t gradients = adapters.trained * 4, targets = given.targets < 0 ? given.rows * given.columns : given.targets;

  // While the loss is taken: the last hidden states, those with a target, their gradient and the logits of a chunk. A recomputed
  // chunk's turn comes later, when the states as such are gone.
  const bool plain = plain_head(outline, adapters), flowed = flows;
  const auto states = plan_block(blocks.outer_back, setting, flows).kept;
  auto at_loss_kept = kept;
  for (const auto& [kind, bytes] : states) at_loss_kept[kind] += bytes;
  Parts at_loss = with(at_loss_kept);
  int64_t scratch = 0;
  for (const Site* site : outline.sites())
    if (site->role() == Role::head && storage(site->path()))
      scratch = site->weight()->in_features() * site->weight()->out_features() * element;
  add(at_loss, "hidden states", (plain ? tokens : 0) * row + (flowed ? 2 : 1) * targets * row);
  add(at_loss, "logits and their gradient", loss_bytes(outline, adapters, targets, element, scratch));
  if (given.accumulates) add(at_loss, "gradients", gradients);

  // In the last block's backward pass: all is kept still. In the first one's: all gradients are there.
  auto begins_kept = kept;
  if (shape.recompute)
    for (const auto& [kind, bytes] : last.kept) begins_kept[kind] += bytes;
  Parts begins = with(begins_kept);
  add(begins, "gradients of activations", tokens * row + std::max(last.backward, last.attention_backward - last.mlp));
  add(begins, "gradients", given.accumulates ? gradients : adapters.head_gradient);
  auto ends_kept = last.kept;
  if (shape.recompute) ends_kept["layers' inputs"] += tokens * row;
  Parts ends = with(ends_kept);
  add(ends, "gradients of activations", tokens * row + std::max(last.backward, last.attention_backward - last.mlp)),
      add(ends, "gradients", gradients);

  Parts embedding = always;
  add(embedding, "gradients", gradients + (adapters.tied ? adapters.head_gradient : 0));

  plan.moment = "the loss", plan.memory = at_loss;
  if (sum(begins) > plan.bytes()) plan.moment = "the last layer's backward pass", plan.memory = begins;
  if (sum(ends) > plan.bytes()) plan.moment = "the first layer's backward pass", plan.memory = ends;
  if (sum(embedding) > plan.bytes()) plan.moment = "the embedding's backward pass", plan.memory = embedding;
  return plan;
}

}  // namespace graft
