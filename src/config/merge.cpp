#include <unordered_map>

#include "graft/config/yaml.h"

namespace graft {

void merge_into(ConfigNode& base, ConfigNode&& over) {
  using Kind = ConfigNode::Kind;
  if (base.kind != Kind::map || over.kind != Kind::map) {
    over.key = std::move(base.key);
    if (!over.key_mark.file) over.key_mark = base.key_mark;
    base = std::move(over);
    return;
  }
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < base.children.size(); ++i) places.emplace(base.children[i].key, i);
  for (auto& child : over.children) {
    const auto found = places.find(child.key);
    if (found == places.end())
      base.children.push_back(std::move(child));
    else
      merge_into(base.children[found->second], std::move(child));
  }
}

}  // namespace graft
