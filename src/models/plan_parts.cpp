#include "plan_parts.h"

#include <algorithm>

#include "graft/nn/layers.h"
#include "graft/nn/norm.h"
#include "graft/peft/target_patterns.h"
#include "graft/quant/format.h"
#include "graft/quant/quantized_tensor.h"

namespace graft {
namespace {

/// Codes and constants of a matrix; see QuantizedTensor.
std::pair<int64_t, int64_t> quantized_bytes(const Scheme& scheme, int64_t out, int64_t in) {
  const std::vector<int64_t> shape{out, in};
  const int64_t codes = (out * in * scheme.format->code_bits + 7) / 8, groups = group_count(scheme, shape);
  const int64_t scales = scheme.double_quantization ? groups + 4 * ((groups + 255) / 256) : 4 * groups;
  return {codes, scales + (scheme.format->affine ? groups : 0)};
}

}  // namespace

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

Blocks blocks_of(const Transformer& outline, const Adapters& adapters) {
  Blocks blocks;
  for (const Site* site : outline.sites()) {
    const auto seat = adapters.seats.find(site);
    const SeatedSite seated = seat == adapters.seats.end() ? SeatedSite{site} : seat->second;
    const int layer = layer_of(site->path());
    if (layer < 0) {
      (blocks.layers.empty() ? blocks.outer_front : blocks.outer_back).push_back(seated);
      continue;
    }
    const auto i = static_cast<size_t>(layer);
    blocks.layers.resize(std::max(blocks.layers.size(), i + 1));
    blocks.layers[i].sites.push_back(seated), blocks.layers[i].fused = adapters.fused[i], blocks.layers[i].fusable = adapters.fusable[i];
  }
  return blocks;
}

double flops_of(const Transformer& outline, const Blocks& blocks, const Adapters& adapters, const ModelFacts& facts,
                const StepShape& shape) {
  double flops = 6.0 * static_cast<double>(adapters.trained);
  bool flows = false;
  const auto count = [&](const SeatedSite& seated, bool again) {
    flows = flows || seated.taken != Taken::no;
    const Site& site = *seated.site;
    if (seated.taken == Taken::values && site.kind() != SiteKind::linear)
      flops -= 6.0 * static_cast<double>(numbers_of(site));  // no product
    if (site.kind() != SiteKind::linear) return;
    const double n = static_cast<double>(site.weight()->in_features()) * static_cast<double>(site.weight()->out_features());
    if (seated.taken == Taken::values) flops -= 4 * n;  // its forward and input gradient are counted next
    flops += (flows ? 4 : 2) * n + (again ? 2 * n : 0);
  };
  const double attention =
      (facts.encoder ? 4.0 : 2.0) * static_cast<double>(shape.columns * facts.heads * facts.head_dim);
  for (const auto& site : blocks.outer_front) count(site, false);
  for (const auto& layer : blocks.layers) {
    const bool fused = shape.fused && layer.fused, some = fused && shape.recompute == Recompute::gate_up,
               all = shape.recompute != Recompute::none && !some;
    for (const auto& seated : layer.sites) {
      const Role role = seated.site->role();
      count(seated, all || (some && (role == Role::gate || role == Role::up || role == Role::gate_up)));
    }
    flops += attention * (3.5 + (all ? 1 : 0));
  }
  for (const auto& site : blocks.outer_back) count(site, false);
  return flops;
}

}  // namespace graft
