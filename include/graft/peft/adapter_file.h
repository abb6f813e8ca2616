#pragma once
// Adapters on disk, read and written: in PEFT's form (adapter_config.json, adapter_model.safetensors) or AdapterHub's (adapter_config.json,
// adapter.safetensors), so that what graft trains those tools load and the other way round; methods that neither has, in PEFT's layout with
// the method and its options named in the config.
#include <filesystem>
#include <string>

#include "graft/core/log.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/graft_adapter.h"

namespace graft {

/// Writes the folder; each file appears whole or not at all. Fails if a value is not finite.
void write_adapter(const std::filesystem::path& folder, const Transformer& model, const std::string& name, const AdapterOptions& options,
                   const std::string& base_model);

/// adapter_config.json as options. A field that graft does not know is a warning if it holds null, false, zero or nothing, else a
/// RequestError that names it.
AdapterOptions read_adapter_options(const std::filesystem::path& folder, const Log& log = {});

/// Seats the folder's adapter under `name`; returns its options.
AdapterOptions load_adapter(Transformer& model, const std::string& name, const std::filesystem::path& folder, const Log& log = {});

/// Copies the folder's values into an adapter that is seated already, of the same method and shape.
void load_adapter_values(Transformer& model, const std::string& name, const AdapterOptions& options, const std::filesystem::path& folder);

/// The file's tensors, as the file names them.
TensorMap read_adapter_tensors(const std::filesystem::path& folder);

}  // namespace graft
