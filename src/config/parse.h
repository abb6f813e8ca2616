#pragma once
// YAML text to a tree, with what has been spent so far of the limits.
#include <string>
#include <string_view>
#include <vector>

#include "graft/config/node.h"

namespace graft {

/// What one config has used of ConfigLimits, all its files and overrides together.
struct ConfigBudget {
  int nodes = 0;
  size_t bytes = 0;
  int files = 0;
  std::vector<std::string> faults;  // that reading can go on after

  void spend(int more_nodes, size_t more_bytes, const std::string& where);
};

/// UTF-8 without NUL, within the size of a file.
void check_config_text(std::string_view text, const std::string& name);

/// A key that can be written and read again: YAML ends keys on their line at 1,024 characters, escapes and all.
void check_key(const std::string& key, const std::string& where);

/// `numbered`: lines of a file; otherwise `name` says it all (an argument). An empty text is null.
ConfigNode parse_yaml(std::string_view text, const std::string& name, bool numbered, ConfigBudget& budget);

/// Applies `key.path=value`.
void apply_override(ConfigTree& tree, const std::string& argument, ConfigBudget& budget);

}  // namespace graft
