#pragma once
// AdapterHub's adapter_config.json (adapters/configuration/adapter_config.py, BnConfig) and names.
#include <optional>
#include <string>

#include "graft/peft/bottleneck.h"

namespace graft {

enum class BottleneckForm { houlsby, pfeiffer, parallel };

/// name and model_class are filled in by the writer.
Json hub_config(BottleneckForm form, const BottleneckOptions& options, int64_t hidden_size);
/// Which form an AdapterHub config describes; nullopt: none of ours, or not AdapterHub's.
std::optional<BottleneckForm> hub_form(const Json& config);
/// Refuses what graft does not do (gating, PHM layers ...) by name.
void take_hub_options(PeftFields& fields, BottleneckOptions& options);

/// model.layers.0.output_adapters.adapters.adapter_up.weight <-> model.layers.0.output_adapters.adapters.<name>.adapter_up.weight
std::string hub_key(const std::string& parameter, const std::string& name);
std::string without_hub_name(const std::string& key);
/// AdapterHub knows a norm before the bottleneck by two names, adapter_norm_before and adapter_down.0; this is the first, "" for other keys.
std::string second_hub_key(const std::string& key);

}  // namespace graft
