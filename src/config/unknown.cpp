#include <algorithm>

#include "graft/config/foreign.h"
#include "graft/core/table.h"
#include "reader.h"

namespace graft {
namespace {

std::string leaf_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string section_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "the top of the file" : path.substr(0, dot);
}

/// "adapter or adapters.<name>": where in the schema a key of this name is.
std::string homes_of(const std::string& key, const std::vector<std::string>& paths) {
  std::vector<std::string> homes;
  for (const auto& path : paths)
    if (leaf_of(path) == key && homes.size() < 3) homes.push_back(section_of(path));
  return join(homes, " or ");
}

std::string hint_for(const UnknownKey& unknown, const std::vector<std::string>& paths) {
  const std::string& key = unknown.node->key;
  const std::string whole = unknown.section.empty() ? key : unknown.section + "." + key;
  if (key.find('.') != std::string::npos)
    for (const std::string& meant : {whole, key})
      if (std::find(paths.begin(), paths.end(), meant) != paths.end())
        return " (in a file, keys are nested: write '" + leaf_of(meant) + "' inside " + section_of(meant) + ")";
  if (const std::string hint = foreign_hint(key, paths); !hint.empty()) return ": " + hint;
  if (const std::string homes = homes_of(key, paths); !homes.empty()) return ": '" + key + "' belongs to " + homes;
  if (const std::string near = did_you_mean(key, *unknown.known); !near.empty()) return near;

  std::vector<std::string> leaves;
  for (const auto& path : paths) leaves.push_back(leaf_of(path));
  if (const std::string near = nearest(key, leaves); !near.empty())
    return " (did you mean '" + near + "' in " + homes_of(near, paths) + "?)";
  return unknown.known->empty() ? "" : "; known: " + join(*unknown.known);
}

}  // namespace

std::string explain(const MisreadSection& misread, const std::vector<std::string>& paths) {
  const ConfigNode& node = *misread.node;
  const std::string hint = node.kind == ConfigNode::Kind::scalar ? foreign_hint(misread.section + ": " + node.text, paths) : "";
  return fmt::format("{}: {}: expected keys and values, got {}{}", node.mark.text(), misread.section, node.described(),
                     hint.empty() ? "" : " (" + hint + ")");
}

std::string explain(const UnknownKey& unknown, const std::vector<std::string>& paths) {
  const std::string& key = unknown.node->key;
  const std::string path = (unknown.section.empty() ? "" : unknown.section + ".") + quoted_text(key);
  return unknown.node->key_mark.text() + ": " + path + ": unknown key" + hint_for(unknown, paths);
}

}  // namespace graft
