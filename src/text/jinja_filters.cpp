// `x | ...`
#include <cmath>

#include "graft/core/error.h"
#include "jinja_filters.h"

namespace graft::python {
namespace {

value length(const Call& call) { return make_int(static_cast<int64_t>(length_of(call.self()))); }
value string(const Call& call) { return make_text(str(call.self())); }

value otherwise(const Call& call) {
  const value fallback = call.get(0, "default_value");
  const bool absent = is_undefined(call.self()) || (call.flag(1, "boolean") && !truth(call.self()));
  return !absent ? call.self() : fallback ? fallback : make_string("");
}

value json(const Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.flag(0, "ensure_ascii");
  style.sort_keys = call.flag(3, "sort_keys");
  const value indent = call.get(1, "indent"), separators = call.get(2, "separators");
  if (indent && !indent->is_none()) {
    style.multiline = true;
    style.item_separator = ",";
    const int64_t width = is_integral(indent) ? std::max<int64_t>(indent->val_int, 0) : 0;
    if (width > 1000) type_error("tojson with an indent of more than 1000");
    style.indent = is_string(indent) ? indent->val_str.str() : std::string(static_cast<size_t>(width), ' ');
  }
  if (separators && !separators->is_none()) {
    if (!is_sequence(separators) || separators->val_arr.size() != 2) type_error("tojson: separators must be a pair");
    style.item_separator = str(separators->val_arr[0]).str();
    style.key_separator = str(separators->val_arr[1]).str();
  }
  return make_text(to_json(call.self(), style));
}

value to_int(const Call& call) {
  const int64_t fallback = call.integer(0, "default", 0), base = call.integer(1, "base", 10);
  if (is_integral(call.self())) return make_int(call.self()->val_int);
  double number = NAN;
  if (is_number(call.self())) number = call.self()->val_flt;
  if (is_string(call.self())) {
    const std::string text = strip(Call("int", call.self(), {}, call.context()))->val_str.str();
    if (text.size() > 64 || base < 2 || base > 36) return make_int(fallback);
    char* end = nullptr;
    errno = 0;
    const long long whole = std::strtoll(text.c_str(), &end, static_cast<int>(base));
    if (!text.empty() && *end == '\0' && errno == 0) return make_int(whole);
    number = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') number = NAN;
  }
  return make_int(std::fabs(number) < 9e18 ? static_cast<int64_t>(number) : fallback);
}

value to_float(const Call& call) {
  const auto made = [](double number) { return jinja::mk_val<jinja::value_float>(number); };
  const value given = call.get(0, "default");
  const double fallback = given && is_number(given) ? given->as_float() : 0.0;
  if (is_integral(call.self())) return made(static_cast<double>(call.self()->val_int));
  if (is_number(call.self())) return call.self();
  const std::string text = str(call.self()).str();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return made(text.empty() || *end != '\0' ? fallback : number);
}

value absolute(const Call& call) {
  return less(call.self(), make_int(0)) ? arithmetic("-", make_int(0), call.self()) : call.self();
}

value rounded(const Call& call) {
  const int64_t places = call.integer(0, "precision", 0);
  const std::string method = call.get(1, "method") ? call.text(1, "method") : "common";
  if (!is_number(call.self()) || std::abs(places) > 15) type_error("round needs a number and at most 15 places");
  const double number = is_integral(call.self()) ? static_cast<double>(call.self()->val_int) : call.self()->val_flt;
  const double scale = std::pow(10.0, static_cast<double>(places));
  const double scaled = number * scale;
  const double whole = method == "ceil" ? std::ceil(scaled) : method == "floor" ? std::floor(scaled) : std::nearbyint(scaled);
  return jinja::mk_val<jinja::value_float>(whole / scale);
}

value indented(const Call& call) {
  const value width = call.get(0, "width");
  if (width && is_integral(width) && (width->val_int < 0 || width->val_int > 1000)) type_error("indent of more than 1000");
  const std::string by = !width               ? "    "
                         : is_integral(width) ? std::string(static_cast<size_t>(width->val_int), ' ')
                                              : str(width).str();
  jinja::string text = str(call.self());
  append(text, "\n");
  const value whole = make_text(std::move(text));
  const value lines = find_method(whole, "splitlines")(Call("splitlines", whole, {}, call.context()));
  const bool blank = call.flag(2, "blank");
  jinja::string out;
  if (call.flag(1, "first")) append(out, by);
  for (size_t i = 0; i < lines->val_arr.size(); ++i) {
    if (i > 0) append(out, "\n");
    if (i > 0 && (blank || truth(lines->val_arr[i]))) append(out, by);
    out.append(lines->val_arr[i]->val_str);
  }
  return make_text(std::move(out));
}

value escaped(const Call& call) {
  return make_text(each_part(str(call.self()), [](const std::string& part) {
    std::string out;
    for (const char c : part) {
      switch (c) {
        case '&':
          out += "&amp;";
          break;
        case '<':
          out += "&lt;";
          break;
        case '>':
          out += "&gt;";
          break;
        case '"':
          out += "&#34;";
          break;
        case '\'':
          out += "&#39;";
          break;
        default:
          out += c;
      }
    }
    return out;
  }));
}

constexpr Row filters[] = {
    {"length", length},       {"count", length},
    {"string", string},       {"safe", string},
    {"default", otherwise},   {"d", otherwise},
    {"tojson", json},         {"int", to_int},
    {"float", to_float},      {"abs", absolute},
    {"round", rounded},       {"indent", indented},
    {"escape", escaped},      {"e", escaped},
    {"upper", upper},         {"lower", lower},
    {"title", title},         {"capitalize", capitalize},
    {"trim", strip},          {"replace", replace},
    {"join", join_items},     {"first", first_item},
    {"last", last_item},      {"list", list_items},
    {"map", map_items},       {"select", select_items},
    {"reject", reject_items}, {"selectattr", select_by_attribute},
    {"items", dict_items},    {"dictsort", dict_sorted},
    {"sort", sorted},         {"rejectattr", reject_by_attribute},
    {"unique", unique_items}, {"reverse", reversed},
    {"sum", sum_items},       {"min", smallest},
    {"max", largest},
};

}  // namespace

Function find_filter(std::string_view name) {
  for (const Row& row : filters)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
