#pragma once
// Small facts about rendered text: white space and where markup may begin or end.
#include <algorithm>
#include <cctype>
#include <string_view>

namespace graft {

inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

inline size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [end, other] =
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<size_t>(end - a.begin());
}

inline std::string_view without_trailing_space(std::string_view s) {
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

/// The last place at or before `at` where markup may have ended.
inline size_t markup_boundary(std::string_view text, size_t at, size_t lowest) {
  while (at > lowest && text[at - 1] != '>' && text[at - 1] != ']' && !is_space(text[at - 1])) --at;
  return at;
}

/// Whether there is a word outside <tags>: then it is more of a turn's header than an opener.
inline bool names_something(std::string_view text) {
  bool inside = false;
  for (const char c : text) {
    inside = c == '<' || (inside && c != '>');
    if (!inside && std::isalnum(static_cast<unsigned char>(c))) return true;
  }
  return false;
}

}  // namespace graft
