#include "graft/config/node.h"

#include <algorithm>

#include "graft/config/shape.h"

namespace graft {
namespace {

/// Values in messages are one short line.
std::string shortened(const std::string& text) {
  constexpr size_t most = 60;
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

std::string ConfigMark::text() const {
  const std::string name = file ? *file : std::string("config");
  return line > 0 ? name + ":" + std::to_string(line) : name;
}

const ConfigNode* ConfigNode::find(std::string_view wanted) const {
  if (kind != Kind::map) return nullptr;
  const auto at = std::find_if(children.begin(), children.end(), [&](const ConfigNode& child) { return child.key == wanted; });
  return at == children.end() ? nullptr : &*at;
}

ConfigNode* ConfigNode::find(std::string_view wanted) { return const_cast<ConfigNode*>(std::as_const(*this).find(wanted)); }

ConfigNode ConfigNode::take(std::string_view wanted) {
  ConfigNode* child = find(wanted);
  if (!child) return {};
  ConfigNode found = std::move(*child);
  children.erase(children.begin() + (child - children.data()));
  return found;
}

std::string ConfigNode::described() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "keys and values";
    case Kind::scalar:
      break;
  }
  return quoted ? "the text " + double_quoted(shortened(text)) : "'" + shortened(text) + "'";
}

}  // namespace graft
