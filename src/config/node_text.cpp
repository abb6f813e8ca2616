// A config as it was given, includes merged and overrides applied, as YAML again.
#include "graft/config/shape.h"
#include "graft/config/yaml.h"
#include "text.h"

namespace graft {
namespace {

using Kind = ConfigNode::Kind;

std::string flow(const ConfigNode& node) {
  if (node.kind == Kind::null) return "null";
  if (node.kind == Kind::scalar) return plain_or_quoted(node.text, node.quoted);
  const bool is_map = node.kind == Kind::map;
  std::string text;
  for (const auto& child : node.children) text += (text.empty() ? "" : ", ") + (is_map ? quoted_text(child.key) + ": " : "") + flow(child);
  return is_map ? "{" + text + "}" : "[" + text + "]";
}

void write_map(const ConfigNode& map, size_t indent, std::string& out) {
  for (const auto& child : map.children) {
    out += std::string(indent, ' ') + quoted_text(child.key) + ":";
    if (child.kind == Kind::map && !child.children.empty()) {
      out += "\n";
      write_map(child, indent + 2, out);
    } else {
      out += " " + flow(child) + "\n";
    }
  }
}

}  // namespace

std::string to_yaml(const ConfigTree& tree) {
  std::string text;
  write_map(tree.root, 0, text);
  return text.empty() ? "{}\n" : text;
}

}  // namespace graft
