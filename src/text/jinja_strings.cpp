// Methods of strings. What stays of a string keeps its origin.
#include <utf8proc.h>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }
char32_t raised(char32_t c) { return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))); }
char32_t lowered(char32_t c) { return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))); }
bool is_cased(char32_t c) { return raised(c) != c || lowered(c) != c; }

/// `map` sees each code point and the one before it.
template <class Map>
value mapped(const Call& call, Map map) {
  char32_t before = 0;
  return make_text(each_part(str(call.self()), [&](const std::string& part) {
    std::string out;
    for (size_t at = 0; at < part.size();) {
      const char32_t c = next_code_point(part, at);
      append_utf8(out, map(c, before));
      before = c;
    }
    return out;
  }));
}

struct Sides {
  bool left, right;
};

value stripped(const Call& call, Sides sides) {
  const jinja::string text = str(call.self());
  const std::string whole = text.str();
  const value given = call.get(0, "chars");
  const std::string chars = given && !given->is_none() ? call.text(0, "chars") : "";
  const auto goes = [&](char32_t c) {
    if (!given || given->is_none()) return is_space(c);
    std::string one;
    append_utf8(one, c);
    jinja::spend(chars.size());
    return chars.find(one) != std::string::npos;
  };
  size_t begin = 0, end = whole.size();
  for (size_t at = begin; sides.left && at < end; begin = at)
    if (!goes(next_code_point(whole, at))) break;
  for (size_t at = end; sides.right && at > begin; end = at)
    if (!goes(previous_code_point(whole, at))) break;
  return make_text(part_of(text, begin, end));
}

value left_strip(const Call& call) { return stripped(call, {true, false}); }
value right_strip(const Call& call) { return stripped(call, {false, true}); }

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

template <bool at_end>
value touches(const Call& call) {
  const std::string text = call.self()->val_str.str();
  const value given = call.need(0, "prefix");
  const auto hit = [&](const value& one) {
    if (!is_string(one)) type_error("startswith() and endswith() need strings");
    return at_end ? text.ends_with(one->val_str.str()) : text.starts_with(one->val_str.str());
  };
  if (jinja::is_val<jinja::value_tuple>(given)) return make_bool(std::ranges::any_of(given->val_arr, hit));
  return make_bool(hit(given));
}

template <bool at_end>
value removed(const Call& call) {
  const jinja::string& text = call.self()->val_str;
  const std::string whole = text.str(), part = call.text(0, "part");
  if (part.empty() || !(at_end ? whole.ends_with(part) : whole.starts_with(part))) return call.self();
  return make_text(at_end ? part_of(text, 0, whole.size() - part.size()) : part_of(text, part.size(), whole.size()));
}

template <bool from_right>
value find(const Call& call) {
  const std::string whole = call.self()->val_str.str(), part = call.text(0, "sub");
  const size_t at = from_right ? whole.rfind(part) : whole.find(part);
  return make_int(at == std::string::npos ? -1 : static_cast<int64_t>(code_points(std::string_view(whole).substr(0, at)).size()) - 1);
}

value count(const Call& call) {
  const std::string sub = call.text(0, "sub");
  if (sub.empty()) return make_int(static_cast<int64_t>(length_of(call.self())) + 1);
  return make_int(static_cast<int64_t>(pieces(call.self()->val_str, sub, -1, false).size()) - 1);
}

value join(const Call& call) {
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

template <bool (*check)(char32_t)>
value all_are(const Call& call) {
  const std::string text = call.self()->val_str.str();
  for (size_t at = 0; at < text.size();)
    if (!check(next_code_point(text, at))) return make_bool(false);
  return make_bool(!text.empty());
}

bool is_letter(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND; }
bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_digit(c); }

template <char32_t (*change)(char32_t)>
value is_in_case(const Call& call) {
  const std::string text = call.self()->val_str.str();
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (change(c) != c) return make_bool(false);
    cased = cased || is_cased(c);
  }
  return make_bool(cased);
}

constexpr Row methods[] = {
    {"upper", upper},
    {"lower", lower},
    {"title", title},
    {"capitalize", capitalize},
    {"strip", strip},
    {"lstrip", left_strip},
    {"rstrip", right_strip},
    {"split", split},
    {"rsplit", right_split},
    {"splitlines", split_lines},
    {"startswith", touches<false>},
    {"endswith", touches<true>},
    {"removeprefix", removed<false>},
    {"removesuffix", removed<true>},
    {"replace", replace},
    {"find", find<false>},
    {"rfind", find<true>},
    {"count", count},
    {"join", join},
    {"format", format},
    {"isdigit", all_are<is_digit>},
    {"isnumeric", all_are<is_digit>},
    {"isalpha", all_are<is_letter>},
    {"isalnum", all_are<is_letter_or_digit>},
    {"isspace", all_are<is_space>},
    {"isupper", is_in_case<raised>},
    {"islower", is_in_case<lowered>},
};

}  // namespace

value upper(const Call& call) {
  return mapped(call, [](char32_t c, char32_t) { return raised(c); });
}
value lower(const Call& call) {
  return mapped(call, [](char32_t c, char32_t) { return lowered(c); });
}
value title(const Call& call) {
  return mapped(call, [](char32_t c, char32_t before) { return is_cased(before) ? lowered(c) : raised(c); });
}
value capitalize(const Call& call) {
  bool first = true;
  return mapped(call, [&](char32_t c, char32_t) { return std::exchange(first, false) ? raised(c) : lowered(c); });
}
value strip(const Call& call) { return stripped(call, {true, true}); }

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

Function find_string_method(std::string_view name) {
  for (const Row& row : methods)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
