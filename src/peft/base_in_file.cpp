#include "base_in_file.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/quant/weight.h"

namespace graft {
namespace {

const Site* site_at(const Transformer& model, std::string_view path) {
  for (const Site* site : model.sites())
    if (site->path() == path) return site;
  return nullptr;
}

bool has_role(const std::vector<Site*>& sites, Role role) {
  return std::any_of(sites.begin(), sites.end(), [&](const Site* site) { return site->role() == role; });
}

/// Equal in the less exact of both types, but for the rows of tokens that the adapter has. True where no such values are at hand: in an outline, or
/// on a quantised base.
bool may_be(const Site& site, const Tensor& value, const std::vector<int>& tokens = {}) {
  const auto* dense = dynamic_cast<const DenseWeight*>(site.weight());
  if (site.device().is_meta() || !dense) return true;
  const Tensor own = dense->dense(dense->dtype());
  const Tensor replaced = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
  const auto coarse = [&](const Tensor& x) { return x.to(value.scalar_type()).to(dense->dtype()).cpu().index_fill(0, replaced, 0); };
  return own.sizes() == value.sizes() && at::equal(coarse(own), coarse(value));
}

/// Beside an adapted embedding or head, and where a vocabulary grew, PEFT writes the base's own weight.
void drop_base_layers(const Transformer& model, const AdapterOptions& options, TensorMap& tensors, const std::string& what) {
  constexpr std::string_view end = ".base_layer.weight", of_tokens = ".token_adapter";
  std::erase_if(tensors, [&](const auto& item) {
    const auto& [key, value] = item;
    if (!key.starts_with(peft_prefix) || !key.ends_with(end)) return false;
    std::string_view path = std::string_view(key).substr(peft_prefix.size(), key.size() - peft_prefix.size() - end.size());
    const bool by_token = path.ends_with(of_tokens);
    if (by_token) path.remove_suffix(of_tokens.size());
    const Site* site = site_at(model, path);
    if (!site || !site->weight()) return false;
    require(may_be(*site, value, by_token ? options.trainable_token_indices : std::vector<int>{}), "{}: {} is not this base's: the adapter belongs to a base with another {}", what, key, site->path());
    return true;
  });
}

/// AdapterHub saves the base's head beside the adapter unless told not to.
void drop_hub_vocabulary_head(const Transformer& model, TensorMap& tensors, const std::string& what) {
  for (const Site* site : model.sites()) {
    if (site->role() != Role::head || model.task().kind != TaskKind::causal_lm) continue;
    const auto head = tensors.extract(site->path() + ".weight");
    require(head.empty() || may_be(*site, head.mapped()), "{}: holds another {} than this base's, which a bottleneck does not train", what, site->path());
  }
}

std::string weight_key(const Transformer& model, Role role) {
  const auto& sites = model.sites();
  const auto site = std::find_if(sites.begin(), sites.end(), [&](const Site* s) { return s->role() == role; });
  return site == sites.end() ? "" : std::string(peft_prefix) + (*site)->path() + ".weight";
}

/// ... and the tied head's tokens beside the embedding's.
void drop_tied_tokens(const Transformer& model, TensorMap& tensors, const std::string& what) {
  constexpr std::string_view end = ".token_adapter.trainable_tokens_delta";
  const auto words = tensors.find(std::string(peft_prefix) + model.first_site(SiteKind::embedding)->path() + std::string(end));
  const auto head = tensors.find(std::string(peft_prefix) + "lm_head" + std::string(end));
  if (words == tensors.end() || head == tensors.end() || !model.tied_head()) return;
  require(at::equal(words->second, head->second), "{}: {} and {} differ, and this base has one tensor for both", what, words->first, head->first);
  tensors.erase(head);
}

void drop_tied_head(const Transformer& model, TensorMap& tensors, const std::string& what) {
  const auto head = tensors.find(weight_key(model, Role::head)), words = tensors.find(weight_key(model, Role::words));
  if (head == tensors.end() || words == tensors.end()) return;
  require(at::equal(head->second, words->second), "{}: {} and {} differ, and {} is set", what, head->first, words->first, tying_key);
  tensors.erase(head);
}

}  // namespace

void check_initialisation(const Json& config, const std::string& where, const Log& log) {
  const Json given = config.value("init_lora_weights", Json());
  const std::string init = given.is_string() ? given.get<std::string>() : "";
  for (const char* reducing : {"pissa", "olora", "corda", "lora_ga"})
    require(!init.starts_with(reducing), "{}: init_lora_weights '{}': the adapter belongs to a base without its first part; save it in PEFT with path_initial_model_for_weight_conversion",
            where, init);
  if (init == "loftq") log.warn("{}: init_lora_weights 'loftq': the adapter belongs to a base in nf4; quantise it as it was (quantization.format)", where);
}

void name_in_full(std::vector<std::string>& modules_to_save, const TensorMap& tensors) {
  const std::vector<std::string> names = modules_to_save;
  for (const auto& [key, tensor] : tensors) {
    if (!key.starts_with(peft_prefix) || !key.ends_with(".weight")) continue;
    const std::string path = key.substr(peft_prefix.size(), key.rfind('.') - peft_prefix.size());
    const bool taken = std::any_of(names.begin(), names.end(), [&](const std::string& name) { return path.ends_with(name); });
    if (taken && !matches(path, NamesOrPattern(names))) modules_to_save.push_back(path);
  }
}

bool ties_head(const Transformer& model, const AdapterOptions& options) {
  const auto whole = saved_sites(model, options);
  return model.tied_head() && has_role(whole, Role::words) && !has_role(whole, Role::head);
}

void add_tied_head(const Transformer& model, const AdapterOptions& options, TensorMap& tensors) {
  const auto words = tensors.find(weight_key(model, Role::words));
  if (words != tensors.end() && ties_head(model, options)) tensors[weight_key(model, Role::head)] = words->second;
}

TensorMap taken_head(const Transformer& model, TensorMap& tensors) {
  TensorMap head;
  for (const Site* site : model.sites())
    for (const char* part : {".weight", ".bias"})
      if (site->role() == Role::head) head.insert(tensors.extract(site->path() + part));
  return head;
}

void match_base(const Transformer& model, const AdapterOptions& options, const Json& config, TensorMap& tensors, const std::string& what) {
  drop_base_layers(model, options, tensors, what);
  drop_tied_tokens(model, tensors, what);
  drop_hub_vocabulary_head(model, tensors, what);
  if (!model.tied_head() || config.value("peft_type", Json()).is_null()) return;
  const bool tied = config.value(tying_key, Json(false)) == Json(true), ties = ties_head(model, options);
  require(tied || !ties, "{}: trains the embedding apart from the head, which in this model is the same tensor ({} is not set); graft trains them as one", what, tying_key);
  require(ties || !tied, "{}: {} is supported for an embedding in modules_to_save alone", what, tying_key);
  if (tied) drop_tied_head(model, tensors, what);
}

}  // namespace graft
