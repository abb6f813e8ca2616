#include <algorithm>

#include "graft/config/yaml.h"
#include "graft/core/json.h"
#include "parse.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

ConfigNode root_of(ConfigNode node, const std::string& name) {
  if (node.kind == ConfigNode::Kind::null) node.kind = ConfigNode::Kind::map;
  require(node.kind == ConfigNode::Kind::map, "{}: expected keys and values, got {}", name, node.described());
  return node;
}

/// The files that an `include` names, a path or a list of paths.
std::vector<ConfigNode> included(ConfigNode include) {
  std::vector<ConfigNode> names;
  if (include.key.empty()) return names;
  if (include.kind == ConfigNode::Kind::list)
    names = std::move(include.children);
  else
    names.push_back(std::move(include));
  for (const auto& name : names)
    require(name.kind == ConfigNode::Kind::scalar && !name.text.empty(),
            "{}: include: expected a file or a list of files, got {}", name.mark.text(), name.described());
  return names;
}

/// `chain`: the files that are being read, each included by the one before.
ConfigNode load(const fs::path& file, std::vector<fs::path>& chain, ConfigBudget& budget, const std::string& asked_by) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(file, error);
  require(!error, "{}{}: cannot be read: {}", asked_by, file.string(), error.message());
  require(std::find(chain.begin(), chain.end(), real) == chain.end(), "{}{} is included from within itself", asked_by,
          file.string());
  require(++budget.files <= ConfigLimits::files, "{}{}: more than {} files in one config", asked_by, file.string(),
          ConfigLimits::files);

  std::string text;
  try {
    text = read_text(real, ConfigLimits::file_bytes);
  } catch (const RequestError& e) {
    refuse("{}{}", asked_by, e.what());
  }
  ConfigNode own = root_of(parse_yaml(text, file.string(), true, budget), file.string());
  chain.push_back(real);
  ConfigNode merged;
  merged.kind = ConfigNode::Kind::map;
  for (const ConfigNode& name : included(own.take("include"))) {
    const fs::path next = (file.parent_path() / name.text).lexically_normal();
    merge_into(merged, load(next, chain, budget, name.mark.text() + ": include: "));
  }
  chain.pop_back();
  merge_into(merged, std::move(own));
  return merged;
}

/// Finishes the tree.
void apply_overrides(ConfigTree& tree, const std::vector<std::string>& overrides, ConfigBudget& budget) {
  ErrorList errors;
  for (const auto& argument : overrides) errors.guard([&] { apply_override(tree, argument, budget); });
  errors.raise(fmt::format("{}: these overrides cannot be applied:", tree.name));
  tree.faults = std::move(budget.faults);
}

}  // namespace

ConfigTree read_config(const fs::path& file, const std::vector<std::string>& overrides) {
  ConfigBudget budget;
  std::vector<fs::path> chain;
  ConfigTree tree{file.string(), load(file, chain, budget, ""), {}};
  apply_overrides(tree, overrides, budget);
  return tree;
}

ConfigTree parse_config(std::string_view yaml_text, const std::string& name, const std::vector<std::string>& overrides) {
  ConfigBudget budget;
  ConfigTree tree{name, root_of(parse_yaml(yaml_text, name, true, budget), name), {}};
  if (const ConfigNode* include = tree.root.find("include"))
    refuse("{}: include: only a config that is a file can include others", include->key_mark.text());
  apply_overrides(tree, overrides, budget);
  return tree;
}

}  // namespace graft
