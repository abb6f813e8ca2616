#include <charconv>
#include <optional>

#include "graft/config/yaml.h"
#include "parse.h"

namespace graft {
namespace {

using Kind = ConfigNode::Kind;

std::vector<std::string> split_path(std::string_view path, const std::string& argument) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  for (const auto& part : parts) require(!part.empty(), "argument '{}': '{}' is not a key", argument, path);
  require(parts.size() <= ConfigLimits::depth, "argument '{}': nested deeper than {} levels", argument, ConfigLimits::depth);
  return parts;
}

std::optional<size_t> index_of(const std::string& part) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (error != std::errc{} || end != part.data() + part.size()) return std::nullopt;
  return index;
}

/// Lists, maps and quoted text are YAML; anything else is taken as it stands, so that `*.jsonl` and `a: b` need no second
/// quoting.
ConfigNode parse_value(const std::string& argument, std::string_view value, ConfigBudget& budget) {
  const std::string name = "argument '" + argument + "'";
  const size_t start = value.find_first_not_of(" \t\r\n");
  value =
      start == std::string_view::npos ? std::string_view{} : value.substr(start, value.find_last_not_of(" \t\r\n") - start + 1);
  const bool is_yaml = !value.empty() && std::string_view("[{\"'").find(value.front()) != std::string_view::npos;
  if (is_yaml) return parse_yaml(value, name, false, budget);
  budget.spend(1, value.size(), name);
  ConfigNode node;
  node.mark.file = std::make_shared<const std::string>(name);
  node.text = std::string(value);
  const bool is_null = value.empty() || value == "null" || value == "~";
  node.kind = is_null ? Kind::null : Kind::scalar;
  return node;
}

/// The child of `node` that `part` names, made if it is not there.
ConfigNode& step_into(ConfigNode& node, const std::string& part, const std::string& argument, const ConfigMark& mark) {
  const auto index = index_of(part);
  if (node.kind == Kind::null) node.kind = index == 0 ? Kind::list : Kind::map;
  if (node.kind == Kind::list) {
    const size_t size = node.children.size();
    require(index && *index <= size, "argument '{}': '{}' is no place in a list of {} ({}); places are 0 to {}, {} adds one",
            argument, part, size, node.mark.text(), size, size);
    if (*index == size) node.children.emplace_back().mark = mark;
    return node.children[*index];
  }
  require(node.kind == Kind::map, "argument '{}': there is no '{}' inside {} ({})", argument, part, node.described(),
          node.mark.text());
  if (ConfigNode* found = node.find(part)) return *found;
  ConfigNode& made = node.children.emplace_back();
  made.key = part;
  made.mark = made.key_mark = mark;
  return made;
}

}  // namespace

void apply_override(ConfigTree& tree, const std::string& argument, ConfigBudget& budget) {
  check_config_text(argument, "an argument");
  const size_t equals = argument.find('=');
  require(equals != std::string::npos && equals > 0, "argument '{}': expected key=value", argument);
  const std::string path = argument.substr(0, equals);
  require(path != "include", "argument '{}': include belongs in a file", argument);
  const auto parts = split_path(path, argument);

  ConfigNode value = parse_value(argument, std::string_view(argument).substr(equals + 1), budget);
  value.key_mark = value.mark;
  ConfigNode* node = &tree.root;
  for (const auto& part : parts) {
    check_key(part, "argument '" + argument + "'");
    budget.spend(1, part.size(), "argument '" + argument + "'");
    node = &step_into(*node, part, argument, value.mark);
  }
  merge_into(*node, std::move(value));
}

}  // namespace graft
