// Taking strings apart and putting them together. Every piece keeps its origin.
#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

/// The pieces between whitespace.
std::vector<value> words(const jinja::string& text, int64_t limit) {
  const std::string whole = text.str();
  std::vector<value> out;
  size_t at = 0;
  const auto skip = [&](bool space) {
    for (size_t next = at; at < whole.size(); at = next)
      if (is_space(next_code_point(whole, next)) != space) break;
  };
  for (skip(true); at < whole.size(); skip(true)) {
    const size_t begin = at;
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit)
      at = whole.size();
    else
      skip(false);
    out.push_back(make_text(part_of(text, begin, at)));
  }
  return out;
}

std::vector<value> pieces(const jinja::string& text, const std::string& separator, int64_t limit, bool from_right) {
  const std::string whole = text.str();
  if (separator.empty()) type_error("split() with an empty separator");
  std::vector<value> out;
  size_t begin = 0, end = whole.size();
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    jinja::spend(64 + 8 * text.parts.size());
    const size_t last = end < separator.size() ? std::string::npos : end - separator.size();
    const size_t found = !from_right                 ? whole.find(separator, begin)
                         : last == std::string::npos ? last
                                                     : whole.rfind(separator, last);
    if (found == std::string::npos) break;
    if (from_right)
      out.push_back(make_text(part_of(text, found + separator.size(), end))), end = found;
    else
      out.push_back(make_text(part_of(text, begin, found))), begin = found + separator.size();
  }
  out.push_back(make_text(part_of(text, begin, end)));
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

value split_from(const Call& call, bool from_right) {
  const value separator = call.get(0, "sep");
  const int64_t limit = call.integer(1, "maxsplit", -1);
  if (separator && !separator->is_none()) return make_array(pieces(call.self()->val_str, call.text(0, "sep"), limit, from_right));
  if (from_right && limit >= 0) type_error("rsplit() by whitespace with a limit is not supported");
  return make_array(words(call.self()->val_str, limit));
}

}  // namespace

value split(const Call& call) { return split_from(call, false); }
value right_split(const Call& call) { return split_from(call, true); }

value split_lines(const Call& call) {
  const jinja::string& text = call.self()->val_str;
  const std::string whole = text.str();
  std::vector<value> out;
  for (size_t at = 0, begin = 0; at < whole.size();) {
    const size_t end = at;
    const char32_t c = next_code_point(whole, at);
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (c == '\r' && at < whole.size() && whole[at] == '\n') ++at;
    if (ends) out.push_back(make_text(part_of(text, begin, end))), begin = at;
    if (!ends && at == whole.size()) out.push_back(make_text(part_of(text, begin, at)));
  }
  return make_array(std::move(out));
}

value count_parts(const Call& call) {
  const std::string sub = call.text(0, "sub");
  if (sub.empty()) return make_int(static_cast<int64_t>(length_of(call.self())) + 1);
  return make_int(static_cast<int64_t>(pieces(call.self()->val_str, sub, -1, false).size()) - 1);
}

value join_strings(const Call& call) {
  jinja::string out;
  bool first = true;
  for (const value& item : items_of(call.need(0, "iterable"))) {
    if (!is_string(item)) type_error("join() needs strings");
    if (!first) out.append(call.self()->val_str);
    out.append(item->val_str);
    first = false;
  }
  return make_text(std::move(out));
}

/// str.format with {} , {0} and {name}.
value format(const Call& call) {
  const jinja::string& text = call.self()->val_str;
  const std::string whole = text.str();
  jinja::string out;
  size_t next = 0;
  for (size_t at = 0; at < whole.size();) {
    const char c = whole[at];
    const size_t brace = std::min(whole.find_first_of("{}", at), whole.size());
    if (brace > at) {
      out.append(part_of(text, at, brace));
      at = brace;
    } else if (at + 1 < whole.size() && whole[at + 1] == c) {
      out.append(part_of(text, at, at + 1));
      at += 2;
    } else {
      const size_t close = whole.find('}', at);
      if (c == '}' || close == std::string::npos) type_error("format(): a single brace");
      const std::string field = whole.substr(at + 1, close - at - 1);
      const bool numbered = !field.empty() && field.size() < 4 && field.find_first_not_of("0123456789") == std::string::npos;
      if (field.find_first_of(":!.[{") != std::string::npos) type_error("format() with a format specification is not supported");
      const size_t position = field.empty() ? next++ : numbered ? static_cast<size_t>(std::stoi(field)) : std::string::npos;
      out.append(str(call.need(position, field.c_str())));
      at = close + 1;
    }
  }
  return make_text(std::move(out));
}

value replace(const Call& call) {
  const jinja::string text = str(call.self());
  const std::string whole = text.str(), old = call.text(0, "old");
  const jinja::string fresh = call.need(1, "new")->as_string();
  const int64_t limit = call.integer(2, "count", -1);
  jinja::string out;
  size_t done = 0;
  const std::vector<size_t> at = old.empty() ? code_points(whole) : std::vector<size_t>();
  const auto next = [&](size_t i) { return !old.empty() ? whole.find(old, done) : i < at.size() ? at[i] : std::string::npos; };
  for (size_t i = 0; limit < 0 || static_cast<int64_t>(i) < limit; ++i) {
    jinja::spend(16 + 8 * text.parts.size());
    const size_t found = next(i);
    if (found == std::string::npos) break;
    out.append(part_of(text, done, found));
    out.append(fresh);
    done = found + old.size();
  }
  out.append(part_of(text, done, whole.size()));
  return make_text(std::move(out));
}

}  // namespace graft::python
