#include "graft/peft/target_patterns.h"

#include <algorithm>

#include "graft/text/regex.h"

namespace graft {
namespace {

bool full_match(const std::string& pattern, std::string_view path) {
  std::vector<TextSpan> spans;
  Regex::compile("^(?:" + pattern + ")$", "the pattern '" + pattern + "'").find_all(path, spans);
  return spans.size() == 1 && spans.front().is_match;
}

}  // namespace

bool ends_with_name(std::string_view path, std::string_view name) {
  if (path == name) return true;
  return path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '.';
}

bool matches(std::string_view path, const NamesOrPattern& targets) {
  if (const auto* pattern = std::get_if<std::string>(&targets)) return full_match(*pattern, path);
  const auto& names = std::get<std::vector<std::string>>(targets);
  return std::any_of(names.begin(), names.end(), [&](const auto& name) { return ends_with_name(path, name); });
}

bool matches_pattern_key(std::string_view path, const std::string& key) { return full_match("(.*\\.)?(" + key + ")", path); }

int layer_of(std::string_view path) {
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (!segment.empty() && std::all_of(segment.begin(), segment.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return std::stoi(std::string(segment.substr(0, 9)));
    begin = end + 1;
  }
  return -1;
}

}  // namespace graft
