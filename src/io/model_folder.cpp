#include "graft/io/model_folder.h"

#include "checkpoint_files.h"
#include "graft/core/error.h"
#include "graft/core/table.h"
#include "graft/io/mapped_file.h"
#include "lfs_pointer.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> optional_text(const fs::path& file) {
  if (!is_there(file)) return std::nullopt;
  std::string text = read_text(file);
  refuse_lfs_pointer(std::as_bytes(std::span(text)), file);
  return text;
}

Json optional_object(const fs::path& file) {
  const auto text = optional_text(file);
  if (!text) return nullptr;
  Json json = parse_json(*text, file.string());
  require(json.is_object(), "{}: expected a JSON object", file.string());
  return json;
}

// What the folder seems to be instead.
std::string guess(const fs::path& folder) {
  if (const auto ggufs = files_ending(folder, ".gguf"); !ggufs.empty())
    return fmt::format("; to load a GGUF file give its path: {}", (folder / ggufs.front()).string());
  if (is_there(folder / "adapter_config.json")) return "; it is an adapter: give its base model";
  return "";
}

WeightFiles checked_weights(const fs::path& folder) {
  WeightFiles weights = find_weights(folder);
  require(weights.missing.empty(), "{}: incomplete: model.safetensors.index.json names {}, not found here", folder.string(),
          join(weights.missing));
  if (!weights.files.empty()) return weights;
  refuse_pickles(folder, folder.string());
  refuse("{}: no weights: expected model.safetensors, or model.safetensors.index.json and its shards{}", folder.string(),
         guess(folder));
}

// transformers writes a string, or a list of {name, template}.
std::string template_of(const Json& value, const std::string& file) {
  if (value.is_string()) return value.get<std::string>();
  require(value.is_array(), "{}: chat_template: expected a string or a list of named templates", file);
  std::vector<std::string> names;
  for (const Json& item : value) {
    const bool good = item.is_object() && item.contains("name") && item["name"].is_string() && item.contains("template") &&
                      item["template"].is_string();
    require(good, "{}: chat_template: expected items with a name and a template", file);
    if (item["name"] == "default") return item["template"].get<std::string>();
    names.push_back(item["name"].get<std::string>());
  }
  refuse("{}: chat_template: none of its templates is named 'default' ({}); give one as a file", file, join(names));
}

}  // namespace

ModelFolder::ModelFolder(const fs::path& folder) : path_(folder) {
  config_ = optional_object(folder / "config.json");
  require(!config_.is_null(), "{}: not a model folder: it has no config.json{}", folder.string(), guess(folder));
  const WeightFiles weights = checked_weights(folder);
  const auto& map = weights.weight_map;
  ErrorList errors;
  for (const auto& file : weights.files) errors.guard([&] { shards_[file] = std::make_unique<SafetensorsFile>(folder / file); });
  errors.raise(fmt::format("{}: damaged weights", folder.string()));
  for (const auto& [name, file] : map)
    if (!shards_.at(file)->contains(name)) errors.add("'{}' is not in {}", name, file);
  errors.raise(fmt::format("{}: the index does not fit its shards", folder.string()));
  // What a shard holds beside the index's names counts too; where two hold a tensor, the index decides.
  for (const auto& [file, shard] : shards_)
    for (const auto& name : shard->names())
      if (const auto named = map.find(name); named == map.end() || named->second == file) {
        if (where_.emplace(name, shard.get()).second)
          names_.push_back(name);
        else
          errors.add("'{}' is in {} and in another shard, and the index does not say which counts", name, file);
      }
  errors.raise(fmt::format("{}: the index does not fit its shards", folder.string()));
}

bool ModelFolder::contains(std::string_view name) const { return where_.contains(name); }

const TensorView& ModelFolder::tensor(std::string_view name) const {
  const auto found = where_.find(name);
  if (found == where_.end()) refuse("{}: no tensor '{}'{}", path_.string(), name, did_you_mean(name, names_));
  return found->second->tensor(name);
}

std::string ModelFolder::tokenizer_json() const {
  if (auto text = optional_text(path_ / "tokenizer.json")) return std::move(*text);
  for (const char* older : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"})
    if (fs::exists(path_ / older))
      refuse("{0}: has {1} but no tokenizer.json, which graft reads. Convert it once (pip install transformers sentencepiece protobuf):\n"
             "  python3 -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{0}').save_pretrained('{0}')\"",
             path_.string(), older);
  refuse("{}: has no tokenizer.json", path_.string());
}

Json ModelFolder::tokenizer_config() const { return optional_object(path_ / "tokenizer_config.json"); }
Json ModelFolder::generation_config() const { return optional_object(path_ / "generation_config.json"); }

std::string ModelFolder::chat_template() const {
  if (const auto text = optional_text(path_ / "chat_template.jinja")) return *text;
  const Json config = tokenizer_config();
  if (!config.is_object() || !config.contains("chat_template") || config["chat_template"].is_null()) return "";
  return template_of(config["chat_template"], (path_ / "tokenizer_config.json").string());
}

std::vector<std::filesystem::path> ModelFolder::weight_files() const {
  std::vector<std::filesystem::path> files;
  for (const auto& [name, shard] : shards_) files.push_back(shard->path());
  return files;
}

}  // namespace graft
