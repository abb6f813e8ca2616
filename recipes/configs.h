#pragma once
// Configs that come with graft, the YAML of a fresh one, and the schema of all.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace graft {

/// A config by path, or by name: in the working folder, then among the installed ones (GRAFT_CONFIGS, or beside the program).
std::filesystem::path find_config(const std::string& name);
std::vector<std::filesystem::path> installed_configs();

/// The config.json of a shape by its name among the installed ones, or a .json file itself.
std::optional<std::filesystem::path> find_shape(const std::string& name);
std::vector<std::filesystem::path> installed_shapes();
/// Where they lie, with the jobs that `graft bench` takes for them.
std::filesystem::path shapes_folder();

/// A commented YAML with every key at its default, for a method with the learning rate that it brings.
std::string new_config(const std::string& method = "lora");
std::string job_schema();
/// All keys, and each method with its own.
std::string job_help();

}  // namespace graft
