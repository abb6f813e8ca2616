#include "graft/peft/adapter_file.h"

#include <ATen/ATen.h>

#include <set>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"

namespace graft {
namespace {

constexpr std::string_view prefix = "base_model.model.";
constexpr const char* weights_name = "adapter_model.safetensors";
constexpr const char* config_name = "adapter_config.json";

/// The full names of what was grafted: no reader has to match patterns again.
std::vector<std::string> grafted_modules(const Transformer& model, const std::string& name) {
  std::vector<std::string> paths;
  for (const Site* site : model.sites())
    if (site->adapter(name)) paths.push_back(site->path());
  return paths;
}

Json lora_config(const LoraOptions& lora) {
  return {{"peft_type", "LORA"},
          {"r", lora.rank},
          {"lora_alpha", lora.alpha},
          {"lora_dropout", lora.dropout},
          {"use_rslora", lora.rslora},
          {"rank_pattern", Json(lora.rank_pattern)},
          {"alpha_pattern", Json(lora.alpha_pattern)},
          {"init_lora_weights", true},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"use_dora", false},
          {"modules_to_save", nullptr},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr}};
}

// Fields of PEFT's LoraConfig that change nothing once an adapter is trained, or that are written as bookkeeping.
const std::set<std::string> ignorable = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout",
    "init_lora_weights", "megatron_core", "megatron_config", "runtime_config", "loftq_config", "eva_config", "corda_config",
    "lora_ga_config", "layers_pattern", "qalora_group_size", "arrow_config", "kasa_config", "monteclora_config", "velora_config"};

bool is_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty()) ||
         (value.is_number() && value.get<double>() == 0);
}

NamesOrPattern read_names(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

AdapterOptions options_from_config(const Json& config, const std::string& where, const Log& log) {
  require(config.value("peft_type", "") == "LORA", "{}: peft_type is {}; graft loads LORA", where, to_line(config.value("peft_type", Json())));
  AdapterOptions options;
  LoraOptions lora;
  std::set<std::string> taken(ignorable);
  const auto take = [&](const char* key, auto& out) {
    taken.insert(key);
    if (config.contains(key) && !config[key].is_null()) out = config[key].get<std::decay_t<decltype(out)>>();
  };
  take("r", lora.rank);
  lora.alpha = 8;   // PEFT's default, where the file says nothing
  take("lora_alpha", lora.alpha);
  take("lora_dropout", lora.dropout);
  take("use_rslora", lora.rslora);
  take("rank_pattern", lora.rank_pattern);
  take("alpha_pattern", lora.alpha_pattern);
  taken.insert({"target_modules", "exclude_modules", "layers_to_transform", "bias"});
  require(config.contains("target_modules") && !config["target_modules"].is_null(), "{}: target_modules is missing", where);
  options.target_modules = read_names(config["target_modules"]);
  if (config.contains("exclude_modules") && !config["exclude_modules"].is_null()) options.exclude_modules = read_names(config["exclude_modules"]);
  if (const Json layers = config.value("layers_to_transform", Json()); !layers.is_null())
    options.layers_to_transform = layers.is_array() ? layers.get<std::vector<int>>() : std::vector<int>{layers.get<int>()};
  require(config.value("bias", "none") == "none", "{}: bias '{}' is not supported (only none)", where, config.value("bias", "none"));
  for (const auto& [key, value] : config.items()) {
    if (taken.contains(key)) continue;
    if (!is_nothing(value)) refuse("{}: field '{}' ({}) is not supported", where, key, to_line(value).substr(0, 80));
    if (!std::set<std::string>{"fan_in_fan_out", "use_dora", "modules_to_save", "lora_bias", "use_qalora", "trainable_token_indices"}.contains(key) &&
        !value.is_null() && !(value.is_boolean()))
      log.warn("{}: field '{}' is unknown and empty; passed over", where, key);
  }
  require(lora.rank >= 1 && lora.alpha > 0, "{}: r {} and lora_alpha {}: expected positive values", where, lora.rank, lora.alpha);
  options.options = lora;
  return options;
}

}  // namespace

TensorMap adapter_tensors(const Transformer& model, const std::string& name) {
  TensorMap tensors;
  for (const auto& [key, tensor] : parameters(model, name)) tensors[std::string(prefix) + key] = tensor.detach();
  return tensors;
}

void write_adapter(const std::filesystem::path& folder, const Transformer& model, const std::string& name,
                   const AdapterOptions& options, const std::string& base_model) {
  const TensorMap tensors = adapter_tensors(model, name);
  for (const auto& [key, tensor] : tensors)
    check(at::isfinite(tensor).all().item<bool>(), "{}: holds values that are not finite; nothing was written", key);
  std::filesystem::create_directories(folder);
  Json config = lora_config(std::get<LoraOptions>(options.options));
  config["target_modules"] = grafted_modules(model, name);
  config["exclude_modules"] = nullptr;
  config["task_type"] = "CAUSAL_LM";
  config["auto_mapping"] = nullptr;
  config["base_model_name_or_path"] = base_model;
  config["revision"] = nullptr;
  config["inference_mode"] = true;
  const nlohmann::json sorted = nlohmann::json::parse(config.dump());   // PEFT writes its keys sorted
  save_tensors(folder / weights_name, tensors, {{"format", "pt"}});
  write_file(folder / config_name, sorted.dump(2) + "\n");
}

AdapterOptions read_adapter_options(const std::filesystem::path& folder, const Log& log) {
  const auto file = folder / config_name;
  require(std::filesystem::exists(file), "{}: no adapter_config.json: not a PEFT adapter folder", folder.string());
  try {
    return options_from_config(read_json(file, size_t{16} << 20), file.string(), log);
  } catch (const Json::exception& e) {
    refuse("{}: a field has the wrong type: {}", file.string(), e.what());
  }
}

TensorMap read_adapter_tensors(const std::filesystem::path& folder) {
  require(std::filesystem::exists(folder / weights_name), "{}: no {} (pickled .bin adapters are not read: save again with safe_serialization)",
          folder.string(), weights_name);
  return parameter_values(load_tensors(folder / weights_name), folder.string());
}

TensorMap parameter_values(const TensorMap& file_tensors, const std::string& what) {
  TensorMap values;
  for (const auto& [key, tensor] : file_tensors) {
    require(key.starts_with(prefix), "{}: tensor '{}' does not begin with {}", what, key, prefix);
    values[key.substr(prefix.size())] = tensor;
  }
  return values;
}

AdapterOptions load_adapter(Transformer& model, const std::string& name, const std::filesystem::path& folder, const Log& log) {
  const AdapterOptions options = read_adapter_options(folder, log);
  const TensorMap tensors = read_adapter_tensors(folder);   // before anything is seated
  graft_adapter(model, name, options, 0, log);
  try {
    load_parameters(model, name, tensors, folder.string());
  } catch (...) {
    remove_adapter(model, name);
    throw;
  }
  return options;
}

}  // namespace graft
