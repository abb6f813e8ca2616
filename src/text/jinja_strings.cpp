// Methods of strings. What stays of a string keeps its origin.
#include <utf8proc.h>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

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
  return make_int(at == std::string::npos ? -1
                                          : static_cast<int64_t>(code_points(std::string_view(whole).substr(0, at)).size()) - 1);
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
    {"count", count_parts},
    {"join", join_strings},
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

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

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

Function find_string_method(std::string_view name) {
  for (const Row& row : methods)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
