#include "graft/peft/adapter_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"
#include "base_in_file.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_name = "adapter_config.json";
constexpr const char* own_key = "graft_adapter";   // the options as YAML, in files of graft's own form
constexpr const char* weights_names[] = {"adapter_model.safetensors", "adapter.safetensors"};   // PEFT's (and ours), AdapterHub's

constexpr const char* hub_head_name = "model_head.safetensors";                                    // a classifier's head, beside the latter

// Fields of PEFT's configs that change nothing once an adapter is trained, or that are written as bookkeeping.
const std::set<std::string> ignorable = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout",
    "init_lora_weights", "megatron_core", "megatron_config", "runtime_config", "loftq_config", "eva_config", "corda_config", "use_dora",
    "lora_ga_config", "layers_pattern", "qalora_group_size", "arrow_config", "kasa_config", "monteclora_config", "velora_config", "bias",
    "init_ia3_weights", "init_weights", "token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules", "encoder_hidden_size",
    "encoder_num_layers", "encoder_dropout", "encoder_reparameterization_type", "prompt_tuning_init", "prompt_tuning_init_text",
    "tokenizer_name_or_path", "tokenizer_kwargs", "prefix_projection", "fan_in_fan_out" /* of the base: the model knows */};
// Fields that must mean nothing without a warning: every writer has them.
const std::set<std::string> expected_empty = {"lora_bias", "use_qalora"};
constexpr const char* tokens_key = "trainable_token_indices";

bool is_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty()) ||
         (value.is_number() && value.get<double>() == 0);
}

NamesOrPattern read_names(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

/// A list of ids, or one by the module that has such rows; graft's modules have the same ones.
std::vector<int> read_tokens(const Json& value, const std::string& where) {
  if (value.is_array()) return value.get<std::vector<int>>();
  std::vector<int> tokens;
  for (const auto& [module, ids] : value.items()) {
    const auto own = ids.get<std::vector<int>>();
    require(tokens.empty() || tokens == own, "{}: {}: {} has other tokens than the module before it; graft trains the same in both", where, tokens_key, module);
    tokens = own;
  }
  return tokens;
}

void take_targets(PeftFields& fields, AdapterOptions& options) {
  Json value;
  if (fields.take("target_modules", value)) options.target_modules = read_names(value);
  if (fields.take("exclude_modules", value)) options.exclude_modules = read_names(value);
  if (fields.take("layers_to_transform", value)) options.layers_to_transform = value.is_array() ? value.get<std::vector<int>>() : std::vector<int>{value.get<int>()};
  fields.take("modules_to_save", options.modules_to_save);
  fields.take(tying_key, value);   // match_base looks at it
  if (fields.take(tokens_key, value)) options.trainable_token_indices = read_tokens(value, fields.where());
}

void refuse_the_rest(const PeftFields& fields, const Log& log) {
  for (const auto& [key, value] : fields.config().items()) {
    if (fields.was_taken(key) || ignorable.contains(key)) continue;
    if (!is_nothing(value)) refuse("{}: field '{}' ({}) is not supported", fields.where(), key, to_line(value).substr(0, 80));
    if (!expected_empty.contains(key) && !value.is_null() && !value.is_boolean()) log.warn("{}: field '{}' is unknown and empty; passed over", fields.where(), key);
  }
}

AdapterOptions own_options(const Json& config, const std::string& where) {
  return read_job<AdapterOptions>(parse_config(config.at(own_key).get<std::string>(), where));
}

AdapterOptions options_from_config(const Json& config, const std::string& where, const Log& log) {
  if (config.contains(own_key)) return own_options(config, where);
  AdapterOptions options;
  PeftFields fields(config, where);
  for (const MethodRow* row : methods()) {
    if (!row->reads || !row->reads(config)) continue;
    options.method = row->name;
    options.options = row->options_from(fields);
    take_targets(fields, options);
    check_initialisation(config, where, log);
    if (config.contains("peft_type")) refuse_the_rest(fields, log);
    return options;
  }
  std::vector<std::string> known;
  for (const MethodRow* row : methods())
    if (row->reads) known.emplace_back(row->name);
  refuse("{}: peft_type is {}; graft reads adapters of {}", where, to_line(config.value("peft_type", Json())), fmt::join(known, ", "));
}

/// The full names of what was grafted (no reader has to match patterns again), and of what is trained whole.
void add_modules(Json& config, const Transformer& model, const std::string& name, const AdapterOptions& options) {
  const auto whole = saved_sites(model, options), tokens = token_sites(model, options);
  std::vector<std::string> targets, saved;
  for (Site* site : model.sites()) {
    if (!site->adapter(name)) continue;
    if (std::find(tokens.begin(), tokens.end(), site) != tokens.end()) continue;
    const bool is_whole = std::find(whole.begin(), whole.end(), site) != whole.end();
    // PEFT saves a classifier's head as one module: classifier, of classifier.dense and classifier.out_proj.
    (is_whole ? saved : targets).push_back(is_whole && site->role() == Role::head ? site->path().substr(0, site->path().find('.')) : site->path());
  }
  saved.erase(std::unique(saved.begin(), saved.end()), saved.end());
  if (config["peft_type"] != "PROMPT_TUNING" && config["peft_type"] != "P_TUNING" && config["peft_type"] != "PREFIX_TUNING") config["target_modules"] = targets;
  config["modules_to_save"] = saved.empty() ? Json(nullptr) : Json(saved);
  if (ties_head(model, options)) config[tying_key] = true;
  for (const Site* site : tokens) config[tokens_key][site->path()] = options.trainable_token_indices;
}

Json config_of(const Transformer& model, const std::string& name, const AdapterOptions& options, const Method& method, const std::string& base_model) {
  Json config = method.file_config(model, name);
  if (method.file_form() == FileForm::adapter_hub) {
    config["name"] = name, config["model_name"] = base_model, config["model_type"] = nullptr, config["model_class"] = nullptr;
    return config;
  }
  if (method.file_form() == FileForm::graft) {
    config["peft_type"] = nullptr, config[own_key] = to_yaml(options);
    return config;
  }
  add_modules(config, model, name, options);
  if (config.contains("fan_in_fan_out")) config["fan_in_fan_out"] = model.fan_in_fan_out();
  const TaskKind kind = model.task().kind;
  config["task_type"] = kind == TaskKind::causal_lm ? "CAUSAL_LM" : kind == TaskKind::token_classification ? "TOKEN_CLS" : "SEQ_CLS";
  for (const char* key : {"auto_mapping", "revision"}) config[key] = nullptr;
  config["base_model_name_or_path"] = base_model, config["inference_mode"] = true;
  return config;
}

/// A file that says nothing of a classifier's head, or of a head's tokens (PEFT's list of tokens is the embedding's), was trained on the base's own.
void keep_own_head(TensorMap& tensors, const Transformer& model, const std::string& name, const AdapterOptions& options, const Method& method) {
  for (const Site* site : saved_sites(model, options)) {
    const std::string path = std::string(method.file_prefix()) + site->path() + ".";
    if (site->role() != Role::head || tensors.contains(path + "weight")) continue;
    for (const auto& item : site->adapter(name)->named_parameters()) tensors.try_emplace(path + item.key(), item.value().detach());
  }
  for (const Site* site : token_sites(model, options))
    if (site->role() == Role::head)
      for (const auto& item : site->adapter(name)->named_parameters())
        tensors.try_emplace(std::string(method.file_prefix()) + site->path() + "." + item.key(), item.value().detach());
}

}  // namespace

bool PeftFields::was_taken(const std::string& key) const { return std::find(taken_.begin(), taken_.end(), key) != taken_.end(); }

TensorMap Method::exported(const Transformer& model, const std::string& name) const {
  TensorMap tensors;
  for (const auto& [key, tensor] : parameters(model, name)) tensors[std::string(file_prefix()) + key] = tensor.detach();
  return tensors;
}

void Method::import(Transformer& model, const std::string& name, const TensorMap& tensors, const std::string& what) const {
  TensorMap values;
  for (const auto& [key, tensor] : tensors) {
    require(key.starts_with(file_prefix()), "{}: tensor '{}' does not begin with {}", what, key, file_prefix());
    values[key.substr(file_prefix().size())] = tensor;
  }
  load_parameters(model, name, values, what);
}

void write_adapter(const fs::path& folder, const Transformer& model, const std::string& name, const AdapterOptions& options, const std::string& base_model) {
  const auto method = make_method(options);
  method->prepare(model, target_sites(model, options), {.fresh = false});
  TensorMap tensors = method->exported(model, name);
  if (method->file_form() == FileForm::peft) add_tied_head(model, options, tensors);
  for (auto& [key, tensor] : tensors) {
    check(at::isfinite(tensor).all().item<bool>(), "{}: holds values that are not finite; nothing was written", key);
    tensor = tensor.contiguous();
  }
  fs::create_directories(folder);
  const nlohmann::json sorted = nlohmann::json::parse(config_of(model, name, options, *method, base_model).dump());   // PEFT writes its keys sorted
  const bool hub = method->file_form() == FileForm::adapter_hub;
  if (const TensorMap head = hub ? taken_head(model, tensors) : TensorMap(); !head.empty()) save_tensors(folder / hub_head_name, head, {{"format", "pt"}});
  save_tensors(folder / weights_names[hub], tensors, {{"format", "pt"}});
  write_file(folder / config_name, sorted.dump(2) + "\n");
}

AdapterOptions read_adapter_options(const fs::path& folder, const Log& log) {
  const auto file = folder / config_name;
  require(fs::exists(file), "{}: no adapter_config.json: not an adapter's folder", folder.string());
  try {
    AdapterOptions options = options_from_config(read_json(file, size_t{16} << 20), file.string(), log);
    if (!options.modules_to_save.empty()) name_in_full(options.modules_to_save, read_adapter_tensors(folder));
    return options;
  } catch (const Json::exception& e) {
    refuse("{}: a field has the wrong type: {}", file.string(), e.what());
  }
}

TensorMap read_adapter_tensors(const fs::path& folder) {
  for (const char* name : weights_names) {
    if (!fs::exists(folder / name)) continue;
    TensorMap tensors = load_tensors(folder / name);
    if (name == weights_names[1] && fs::exists(folder / hub_head_name)) tensors.merge(load_tensors(folder / hub_head_name));
    return tensors;
  }
  for (const auto& entry : fs::directory_iterator(folder))
    for (const char* suffix : {".bin", ".ckpt", ".pt", ".pth"})
      if (const std::string file = entry.path().string(); file.ends_with(suffix))
        refuse("{}: its weights are a PyTorch pickle, which can run code when read; convert it to safetensors once: python -c \"import torch, "
               "safetensors.torch as s; s.save_file(torch.load('{}', weights_only=True), '{}')\"",
               folder.string(), file, (folder / weights_names[0]).string());
  refuse("{}: no {}", folder.string(), weights_names[0]);
}

void load_adapter_values(Transformer& model, const std::string& name, const AdapterOptions& options, const fs::path& folder) {
  const auto method = make_method(options);
  method->prepare(model, target_sites(model, options), {.fresh = false});
  TensorMap tensors = read_adapter_tensors(folder);
  match_base(model, options, read_json(folder / config_name, size_t{16} << 20), tensors, folder.string());
  keep_own_head(tensors, model, name, options, *method);
  method->import(model, name, tensors, folder.string());
}

AdapterOptions load_adapter(Transformer& model, const std::string& name, const fs::path& folder, const Log& log) {
  const AdapterOptions options = read_adapter_options(folder, log);
  const TensorMap tensors = read_adapter_tensors(folder);   // before anything is seated
  graft_adapter(model, name, options, GraftSetting{.fresh = false}, log);
  try {
    load_adapter_values(model, name, options, folder);
  } catch (...) {
    remove_adapter(model, name);
    throw;
  }
  return options;
}

}  // namespace graft
