#include "checkpoint_files.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/table.h"
#include "graft/io/mapped_file.h"
#include "lfs_pointer.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr size_t index_limit = size_t{256} << 20;

// A file of the folder itself: nothing that leads out of it.
void check_shard_name(const std::string& name, const fs::path& index) {
  const bool plain =
      name.ends_with(".safetensors") && name.find_first_of("/\\") == std::string::npos && name.find('\0') == std::string::npos;
  require(plain, "{}: '{}' is not the name of a safetensors file in the same folder", index.string(), name);
}

std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  refuse_lfs_pointer(MappedFile(index).bytes(), index);
  const std::string text = read_text(index, index_limit);
  // Not parse_json: a map that keeps its order takes quadratic time, and this one has an entry a tensor.
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  require(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(),
          "{}: expected a JSON object with a weight_map", index.string());
  std::map<std::string, std::string> map;
  for (const auto& [name, file] : json["weight_map"].items()) {
    require(file.is_string(), "{}: weight_map: '{}' is not given a file name", index.string(), name);
    map[name] = file.get<std::string>();
    check_shard_name(map[name], index);
  }
  return map;
}

}  // namespace

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

WeightFiles find_weights(const fs::path& folder) {
  WeightFiles weights;
  if (is_there(folder / "model.safetensors")) {  // transformers too prefers it to an index
    weights.files = {"model.safetensors"};
    return weights;
  }
  const fs::path index = folder / "model.safetensors.index.json";
  if (!is_there(index)) return weights;
  weights.weight_map = read_weight_map(index);
  std::set<std::string> names;
  for (const auto& [name, file] : weights.weight_map) names.insert(file);
  weights.files.assign(names.begin(), names.end());
  for (const auto& name : weights.files)
    if (!is_there(folder / name)) weights.missing.push_back(name);
  return weights;
}

std::vector<std::string> files_ending(const fs::path& folder, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (name.ends_with(suffix)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

void refuse_pickles(const fs::path& folder, const std::string& model) {
  std::vector<std::string> pickles;
  for (const char* suffix : {".bin", ".ckpt", ".pt", ".pth"})
    for (auto& name : files_ending(folder, suffix))
      if (name.starts_with("pytorch_model") || name.starts_with("consolidated") || name.starts_with("model."))
        pickles.push_back(std::move(name));
  if (pickles.empty()) return;
  refuse(
      "{}: its weights are PyTorch pickles ({}), which can run code when read; convert them to safetensors once: python -c "
      "\"from "
      "transformers import AutoModelForCausalLM as M; M.from_pretrained('{}').save_pretrained('converted')\"; then copy the "
      "tokenizer's "
      "files there and give that folder",
      folder.string(), join(pickles), model);
}

}  // namespace graft
