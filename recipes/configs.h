#pragma once
// Configs that come with graft, the YAML of a fresh one, and the schema of all.
#include <filesystem>
#include <string>
#include <vector>

namespace graft {

/// A config by path, or by name: in the working folder, then among the installed ones (GRAFT_CONFIGS, or beside the program).
std::filesystem::path find_config(const std::string& name);
std::vector<std::filesystem::path> installed_configs();

/// A commented YAML with every key at its default.
std::string new_config();
std::string job_schema();
std::string job_help();

}  // namespace graft
