#pragma once
// Where a model lies: a Hugging Face folder, org/name[@revision] in the local Hugging Face cache, or a .gguf file. graft opens no
// network connection: what is absent is named with the command that downloads it.
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graft/core/json.h"
#include "graft/io/safetensors.h"

namespace graft {

/// The folder or .gguf file that `path` names. org/name[@revision]: HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub;
/// refs/<revision> or a commit; default revision main. RequestErrors: absent (with `hf download org/name --include ...`), incomplete,
/// a .bin-only or LFS-pointer checkpoint (with how to convert).
std::filesystem::path resolve_model(const std::string& path);

/// A folder's files, checked: config.json, single or sharded safetensors (index checked: names, shards inside the folder), tokenizer.
class ModelFolder {
 public:
  explicit ModelFolder(const std::filesystem::path& folder);
  const std::filesystem::path& path() const { return path_; }
  const Json& config() const { return config_; }                     // config.json
  const std::vector<std::string>& tensor_names() const { return names_; }
  bool contains(std::string_view name) const;
  const TensorView& tensor(std::string_view name) const;
  std::vector<std::filesystem::path> weight_files() const;
  /// The file's text; a RequestError where there is none, with the command that makes it of an older format's files.
  std::string tokenizer_json() const;
  Json tokenizer_config() const;                                     // tokenizer_config.json, or null
  /// chat_template.jinja, or tokenizer_config.json's chat_template (a string, or the list's "default"); "" if none.
  std::string chat_template() const;
  /// generation_config.json, or null.
  Json generation_config() const;

 private:
  std::filesystem::path path_;
  Json config_;
  std::vector<std::string> names_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_;   // by file name
  std::map<std::string, const SafetensorsFile*, std::less<>> where_; // by tensor name
};

}  // namespace graft
