#include "graft/models/plan.h"

#include <algorithm>
#include <set>

#include "graft/core/error.h"
#include "graft/nn/layers.h"
#include "graft/nn/norm.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/peft/graft_adapter.h"
#include "graft/peft/method.h"
#include "graft/quant/format.h"
#include "graft/quant/quantized_tensor.h"
#include "plan_block.h"

namespace graft {
namespace {

using Parts = std::vector<PlannedBytes>;

void add(Parts& parts, const std::string& kind, int64_t bytes) {
  if (bytes == 0) return;
  const auto same = std::ranges::find(parts, kind, &PlannedBytes::kind);
  if (same == parts.end())
    parts.push_back({kind, bytes});
  else
    same->bytes += bytes;
}

int64_t sum(const Parts& parts) {
  int64_t total = 0;
  for (const auto& part : parts) total += part.bytes;
  return total;
}

ModelFacts facts_of(const Transformer& outline, const Json& config) {
  ModelFacts facts;
  const auto& seat = dynamic_cast<const KeyValueSeat&>(*outline.first_site(SiteKind::key_value));
  facts.kv_heads = seat.kv_heads(), facts.head_dim = seat.head_dim();
  const std::string family(family_of(config).name);
  facts.encoder = !family_of(config).gguf_architecture.size() && family_of(config).optional_prefix.size();
  facts.heads = config.value("num_attention_heads", config.value("n_head", facts.kv_heads));
  facts.rotary = !outline.has_position_table();
  const auto word = [&](const char* key) {
    return config.contains(key) && config[key].is_string() ? config[key].get<std::string>() : std::string();
  };
  const std::string activation = word("hidden_activation").empty() ? word("hidden_act") : word("hidden_activation");
  facts.silu = !family.starts_with("gemma") && (activation.empty() || activation == "silu" || activation == "swish");
  facts.wide_gain = family.starts_with("gemma");
  if (config.value("use_sliding_window", true) && config.contains("sliding_window") && config["sliding_window"].is_number())
    facts.window = config["sliding_window"].get<int64_t>();
  facts.drops = facts.encoder ? config.value("attention_probs_dropout_prob", 0.1) > 0
                              : family == "gpt2" && config.value("attn_pdrop", 0.1) > 0;
  facts.caps = config.contains("attn_logit_softcapping") && config["attn_logit_softcapping"].is_number();
  return facts;
}

/// Codes and constants of a matrix; see QuantizedTensor.
std::pair<int64_t, int64_t> quantized_bytes(const Scheme& scheme, int64_t out, int64_t in) {
  const std::vector<int64_t> shape{out, in};
  const int64_t codes = (out * in * scheme.format->code_bits + 7) / 8, groups = group_count(scheme, shape);
  const int64_t scales = scheme.double_quantization ? groups + 4 * ((groups + 255) / 256) : 4 * groups;
  return {codes, scales + (scheme.format->affine ? groups : 0)};
}

void add_base(Parts& parts, const Transformer& outline, const Storage& storage, int64_t element) {
  for (const Site* site : outline.sites()) {
    if (site->shares_weight()) continue;
    const bool outer = site->kind() == SiteKind::embedding || site->role() == Role::head;
    if (const auto* norm = dynamic_cast<const Norm*>(site))
      add(parts, "norms and biases", norm->values().weight.numel() * element);
    if (site->bias().defined()) add(parts, "norms and biases", site->bias().numel() * element);
    const Weight* weight = site->weight();
    if (!weight) continue;
    const int64_t out = weight->out_features(), in = weight->in_features();
    const auto scheme = storage(site->path());
    if (!scheme) {
      add(parts, outer ? "embeddings and head" : "base weights", out * in * element);
      continue;
    }
    const auto [codes, constants] = quantized_bytes(*scheme, out, in);
    add(parts, outer ? "embeddings and head" : "base weights", codes), add(parts, "base's constants", constants);
  }
}

int64_t numbers_of(const Site& site) {
  int64_t count = site.bias().defined() ? site.bias().numel() : 0;
  if (const auto* norm = dynamic_cast<const Norm*>(&site)) return count + norm->values().weight.numel();
  return site.weight() ? count + site.weight()->in_features() * site.weight()->out_features() : count;
}

/// What the adapter holds and trains: made a site at a time and let go. Trained values are counted by their shapes.
struct Adapters {
  int64_t held = 0, trained = 0, prompt = 0, prefix = 0;
  int64_t head_gradient = 0;  // of a vocabulary that is trained: its gradient comes before the others ...
  bool tied = false;          // ... and, of one that is the embedding too, once more after them
  std::map<const Site*, Taken> seats;
};

Adapters adapters_of(const Transformer& outline, const AdapterOptions& options) {
  Adapters all;
  for (const Site* site : saved_sites(outline, options)) all.seats[site] = Taken::values;
  const bool by_values = options.method == "full" || options.method == "head";
  const auto sites = target_sites(outline, options);
  const auto method = make_method(options);
  const GraftSetting setting{.fresh = false};
  if (!by_values) method->prepare(outline, sites, setting);
  std::set<const void*> seen;  // a trunk that all share
  std::vector<std::shared_ptr<Adapter>> holding;
  for (const Site* site : sites) {
    all.seats[site] = by_values ? Taken::values : Taken::method;
    if (by_values) continue;
    const auto adapter = method->make(*site, setting);
    for (const Tensor& parameter : adapter->parameters()) {
      if (!seen.insert(parameter.unsafeGetTensorImpl()).second) continue;
      all.held += parameter.numel();
      if (parameter.requires_grad()) all.trained += parameter.numel();
    }
    (site->kind() == SiteKind::embedding ? all.prompt : all.prefix) =
        std::max(site->kind() == SiteKind::embedding ? all.prompt : all.prefix, adapter->virtual_tokens());
    holding.push_back(adapter);  // else a freed one's address would count as seen
  }
  for (const auto& [site, taken] : all.seats) {
    if (taken != Taken::values) continue;
    all.held += numbers_of(*site), all.trained += numbers_of(*site);
    const bool tied = site->role() == Role::words && outline.tied_head();
    if (tied || site->role() == Role::head) all.head_gradient = numbers_of(*site) * 4, all.tied = tied;
  }
  return all;
}

struct Blocks {
  std::vector<SeatedSite> outer_front, outer_back;
  std::vector<std::vector<SeatedSite>> layers;
};

Blocks blocks_of(const Transformer& outline, const Adapters& adapters) {
  Blocks blocks;
  for (const Site* site : outline.sites()) {
    const auto seat = adapters.seats.find(site);
    const SeatedSite seated{site, seat == adapters.seats.end() ? Taken::no : seat->second};
    const int layer = layer_of(site->path());
    if (layer < 0)
      (blocks.layers.empty() ? blocks.outer_front : blocks.outer_back).push_back(seated);
    else
      blocks.layers.resize(std::max(blocks.layers.size(), static_cast<size_t>(layer) + 1)),
          blocks.layers[static_cast<size_t>(layer)].push_back(seated);
  }
  return blocks;
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

double flops_of(const Transformer& outline, const Blocks& blocks, const Adapters& adapters, const ModelFacts& facts,
                const StepShape& shape) {
  double flops = 6.0 * static_cast<double>(adapters.trained);
  bool flows = false;
  const auto count = [&](const SeatedSite& seated) {
    flows = flows || seated.taken != Taken::no;
    const Site& site = *seated.site;
    if (seated.taken == Taken::values && site.kind() != SiteKind::linear)
      flops -= 6.0 * static_cast<double>(numbers_of(site));  // no product
    if (site.kind() != SiteKind::linear) return;
    const double n = static_cast<double>(site.weight()->in_features()) * static_cast<double>(site.weight()->out_features());
    if (seated.taken == Taken::values) flops -= 4 * n;  // its forward and input gradient are counted next
    flops += (flows ? 4 : 2) * n;
    if (shape.recompute && site.role() != Role::head) flops += 2 * n;
  };
  for (const auto& site : blocks.outer_front) count(site);
  for (const auto& layer : blocks.layers)
    for (const auto& site : layer) count(site);
  for (const auto& site : blocks.outer_back) count(site);
  const double once =
      (facts.encoder ? 4.0 : 2.0) * static_cast<double>(shape.columns * facts.heads * facts.head_dim * outline.layers());
  return flops + once * (3.5 + (shape.recompute ? 1 : 0));
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
