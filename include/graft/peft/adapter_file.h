#pragma once
// Adapters on disk in PEFT's format (adapter_config.json, adapter_model.safetensors), read and written, so that what graft trains PEFT
// loads and the other way round.
#include <filesystem>
#include <string>

#include "graft/core/log.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/graft_adapter.h"

namespace graft {

/// Tensors as PEFT's file names them ("base_model.model." in front).
TensorMap adapter_tensors(const Transformer& model, const std::string& name);

/// Writes the folder; each file appears whole or not at all. Fails if a value is not finite.
void write_adapter(const std::filesystem::path& folder, const Transformer& model, const std::string& name,
                   const AdapterOptions& options, const std::string& base_model);

/// adapter_config.json as options. A field that graft does not know is a warning if it holds null, false, zero or nothing, else a
/// RequestError that names it.
AdapterOptions read_adapter_options(const std::filesystem::path& folder, const Log& log = {});

/// Seats the folder's adapter under `name`; returns its options.
AdapterOptions load_adapter(Transformer& model, const std::string& name, const std::filesystem::path& folder, const Log& log = {});

/// The same tensors as load_parameters names them: the prefix taken off. `what` names their file in errors.
TensorMap parameter_values(const TensorMap& file_tensors, const std::string& what);

/// adapter_model.safetensors with "base_model.model." taken off.
TensorMap read_adapter_tensors(const std::filesystem::path& folder);

}  // namespace graft
