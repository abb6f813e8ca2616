#include "graft/models/config_reader.h"

#include <algorithm>

namespace graft {
namespace {

// Keys that change nothing graft computes: bookkeeping, generation defaults (read elsewhere), training-time settings of the pre-training.
const std::set<std::string> harmless = {
    "_attn_implementation_autoset", "_name_or_path", "architectures", "auto_map", "bos_token_id", "dtype", "eos_token_id", "pad_token_id",
    "quantization_config" /* the files' business */, "initializer_range", "is_llama_config", "model_type", "torch_dtype", "transformers_version", "use_cache", "unsloth_version",
    "unsloth_fixed", "transformers.js_config", "max_window_layers", "chunk_size_feed_forward", "output_attentions",
    "output_hidden_states", "return_dict", "id2label", "label2id", "problem_type", "task_specific_params", "tokenizer_class", "prefix",
    "name_or_path", "layer_types_note", "graft", "num_labels", "_num_labels", "classifier_dropout" /* the heads' own */};

bool means_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty()) ||
         (value.is_string() && value.get<std::string>().empty());
}

}  // namespace

const Json* ConfigReader::take(const std::string& key) {
  taken_.insert(key);
  const auto it = config_.find(key);
  return it == config_.end() || it->is_null() ? nullptr : &*it;
}

int64_t ConfigReader::integer(const std::string& key) {
  const Json* value = take(key);
  if (!value || !value->is_number_integer() || value->get<int64_t>() <= 0 || value->get<int64_t>() > (int64_t{1} << 31)) {
    errors_.add("{}: expected a positive integer, got {}", key, value ? to_line(*value) : "nothing");
    return 1;
  }
  return value->get<int64_t>();
}

int64_t ConfigReader::integer(const std::string& key, int64_t otherwise) { return take(key) ? integer(key) : otherwise; }

double ConfigReader::real(const std::string& key, double otherwise) {
  const Json* value = take(key);
  if (!value) return otherwise;
  if (value->is_number()) return value->get<double>();
  errors_.add("{}: expected a number, got {}", key, to_line(*value));
  return otherwise;
}

bool ConfigReader::boolean(const std::string& key, bool otherwise) {
  const Json* value = take(key);
  if (!value) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  errors_.add("{}: expected true or false, got {}", key, to_line(*value));
  return otherwise;
}

std::string ConfigReader::word(const std::string& key, const std::string& otherwise, const std::vector<std::string>& allowed) {
  const Json* value = take(key);
  if (!value) return otherwise;
  if (value->is_string() && std::find(allowed.begin(), allowed.end(), value->get<std::string>()) != allowed.end()) return value->get<std::string>();
  errors_.add("{}: {} is not supported ({} are)", key, to_line(*value), fmt::join(allowed, ", "));
  return otherwise;
}

std::vector<std::string> ConfigReader::words(const std::string& key) {
  const Json* value = take(key);
  if (!value) return {};
  if (value->is_array() && std::ranges::all_of(*value, [](const Json& word) { return word.is_string(); })) return value->get<std::vector<std::string>>();
  errors_.add("{}: expected a list of words, got {}", key, to_line(*value));
  return {};
}

std::vector<int64_t> ConfigReader::integers(const std::string& key) {
  const Json* value = take(key);
  if (!value) return {};
  if (value->is_array() && std::ranges::all_of(*value, [](const Json& number) { return number.is_number_integer(); })) return value->get<std::vector<int64_t>>();
  errors_.add("{}: expected a list of integers, got {}", key, to_line(*value));
  return {};
}

const Json* ConfigReader::object(const std::string& key) {
  const Json* value = take(key);
  if (!value || value->is_object()) return value;
  errors_.add("{}: expected a map, got {}", key, to_line(*value));
  return nullptr;
}

void ConfigReader::expect(const std::string& key, const std::vector<Json>& allowed) {
  const Json* value = take(key);
  if (value && std::find(allowed.begin(), allowed.end(), *value) == allowed.end()) errors_.add("{}: {} is not supported", key, to_line(*value));
}

void ConfigReader::finish(std::string_view family) {
  for (const auto& [key, value] : config_.items()) {
    if (taken_.contains(key) || harmless.contains(key) || means_nothing(value)) continue;
    errors_.add("{}: {} is unknown to family {}; graft does not guess what it changes", key, to_line(value).substr(0, 80), family);
  }
  errors_.raise("config.json describes a model that graft does not support:");
}

}  // namespace graft
