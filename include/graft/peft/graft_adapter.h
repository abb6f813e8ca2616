#pragma once
// Seating an adapter in a model, and reaching what it trains.
#include <string>
#include <utility>
#include <vector>

#include "graft/core/log.h"
#include "graft/core/tensor.h"
#include "graft/nn/transformer.h"
#include "graft/peft/adapter_options.h"

namespace graft {

/// The sites that `options` names, in the model's order. RequestErrors: an entry that matches nothing (with the nearest real names), or
/// a site of a kind that the method does not adapt.
std::vector<Site*> target_sites(const Transformer& model, const AdapterOptions& options);

/// Makes and seats fresh adapters under `name`; logs what was grafted.
void graft_adapter(Transformer& model, const std::string& name, const AdapterOptions& options, uint64_t seed, const Log& log = {});
void remove_adapter(Transformer& model, const std::string& name);

struct NamedParameter {
  std::string name;   // as PEFT's file has it, without "base_model.model.": model.layers.0.self_attn.q_proj.lora_A.weight
  Tensor tensor;      // the live parameter
};
/// What trains, in the model's order: the optimizer's list.
std::vector<NamedParameter> parameters(const Transformer& model, const std::string& name);

/// Copies values into the live parameters; every name must be there and none be left over (all faults in one RequestError).
void load_parameters(const Transformer& model, const std::string& name, const TensorMap& values, const std::string& what);

}  // namespace graft
