#pragma once
// Which weight files a folder has.
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

struct WeightFiles {
  std::vector<std::string> files;                 // names in the folder: the single one, or the index's shards; empty: none
  std::vector<std::string> missing;               // of these, the ones that are not there
  std::map<std::string, std::string> weight_map;  // a sharded checkpoint's: tensor to file
};

/// model.safetensors, else what model.safetensors.index.json names. RequestError for an index that is not one, or names files
/// outside.
WeightFiles find_weights(const std::filesystem::path& folder);

/// Refuses a folder whose weights are only PyTorch pickles, and says how to convert them.
void refuse_pickles(const std::filesystem::path& folder, const std::string& model);

/// Names in a folder that end with `suffix`, sorted.
std::vector<std::string> files_ending(const std::filesystem::path& folder, std::string_view suffix);

/// Whether something can be read there (not so for a link to nothing, or what may not be looked at).
bool is_there(const std::filesystem::path& path);

}  // namespace graft
