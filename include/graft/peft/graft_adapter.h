#pragma once
// Seating an adapter in a model, and reaching what it trains.
#include <string>
#include <utility>
#include <vector>

#include "graft/core/log.h"
#include "graft/core/tensor.h"
#include "graft/peft/adapter_options.h"

namespace graft {

/// The sites that `options` names, in the model's order. RequestErrors: an entry that matches nothing (with the nearest real names), or
/// a site of a kind that the method does not adapt.
std::vector<Site*> target_sites(const Transformer& model, const AdapterOptions& options);
/// The sites trained whole beside it: modules_to_save, and the head of a classifier.
std::vector<Site*> saved_sites(const Transformer& model, const AdapterOptions& options);
/// Where trainable_token_indices have rows: the embedding of words, and a language model's head that does not follow it, but where these are
/// trained whole. RequestError: the method sits there otherwise.
std::vector<Site*> token_sites(const Transformer& model, const AdapterOptions& options);

/// Makes and seats adapters under `name`; logs what was grafted.
void graft_adapter(Transformer& model, const std::string& name, const AdapterOptions& options, const GraftSetting& setting, const Log& log = {});
inline void graft_adapter(Transformer& model, const std::string& name, const AdapterOptions& options, uint64_t seed, const Log& log = {}) {
  graft_adapter(model, name, options, GraftSetting{.seed = seed}, log);
}
void remove_adapter(Transformer& model, const std::string& name);

struct NamedParameter {
  std::string name;   // the site's path and the adapter's own name for it: model.layers.0.self_attn.q_proj.lora_A.weight
  Tensor tensor;      // the live parameter
};
/// All that an adapter holds, in the model's order, each once: what a checkpoint keeps. What requires a gradient is the optimizer's list.
std::vector<NamedParameter> parameters(const Transformer& model, const std::string& name);
/// How many numbers it trains.
int64_t trainable_elements(const Transformer& model, const std::string& name);
TensorMap parameter_values(const Transformer& model, const std::string& name);

/// Copies values into the live parameters; every name must be there and none be left over (all faults in one RequestError).
void load_parameters(const Transformer& model, const std::string& name, const TensorMap& values, const std::string& what);

}  // namespace graft
