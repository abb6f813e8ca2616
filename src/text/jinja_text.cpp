// What values look like as text: Python's str and repr.
#include <utf8proc.h>

#include <charconv>
#include <cmath>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void append_repr_of(std::string& out, char32_t c, char quote) {
  if (c == static_cast<char32_t>(quote) || c == '\\')
    out += '\\', out += static_cast<char>(c);
  else if (c == '\n')
    out += "\\n";
  else if (c == '\r')
    out += "\\r";
  else if (c == '\t')
    out += "\\t";
  else if (is_printable(c))
    append_utf8(out, c);
  else
    out += c <= 0xFF     ? fmt::format("\\x{:02x}", static_cast<uint32_t>(c))
           : c <= 0xFFFF ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c))
                         : fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
}

jinja::string quoted_repr(const jinja::string& text) {
  const std::string whole = text.str();
  const char quote = whole.find('\'') != std::string::npos && whole.find('"') == std::string::npos ? '"' : '\'';
  jinja::string out;
  append(out, std::string(1, quote));
  out.append(each_part(text, [&](const std::string& part) {
    return each_code_point(part, [&](std::string& to, char32_t c) { append_repr_of(to, c, quote); });
  }));
  append(out, std::string(1, quote));
  return out;
}

template <class Items, class AppendItem>
jinja::string listed(std::string_view open, const Items& items, std::string_view close, AppendItem append_item) {
  jinja::string out;
  append(out, open);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) append(out, ", ");
    append_item(out, items[i]);
  }
  append(out, close);
  return out;
}

}  // namespace

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::fabs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, number, plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(buffer, end.ptr);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

jinja::string str(const value& v) {
  if (is_string(v)) return v->val_str;
  if (is_undefined(v)) return {};
  return repr(v);
}

jinja::string repr(const value& v) {
  const jinja::nested depth;
  jinja::spend(512);
  if (is_string(v)) return quoted_repr(v->val_str);
  if (is_undefined(v)) return {"Undefined"};
  if (v->is_none()) return {"None"};
  if (jinja::is_val<jinja::value_bool>(v)) return {std::string(v->val_int ? "True" : "False")};
  if (jinja::is_val<jinja::value_int>(v)) return {std::to_string(v->val_int)};
  if (is_number(v)) return {float_repr(v->val_flt)};
  const auto append_item = [](jinja::string& out, const value& item) { out.append(repr(item)); };
  if (jinja::is_val<jinja::value_tuple>(v)) return listed("(", v->val_arr, v->val_arr.size() == 1 ? ",)" : ")", append_item);
  if (is_sequence(v)) return listed("[", v->val_arr, "]", append_item);
  const auto append_pair = [](jinja::string& out, const std::pair<value, value>& item) {
    out.append(repr(item.first));
    append(out, ": ");
    out.append(repr(item.second));
  };
  if (is_object(v)) return listed("{", v->val_obj, "}", append_pair);
  type_error(fmt::format("a {} has no text", v->type()));
}

}  // namespace graft::python
