// What values look like as text: Python's str and repr, and json.dumps.
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
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
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

template <class AppendOne>
std::string each_code_point(std::string_view text, AppendOne append_one) {
  std::string out;
  for (size_t at = 0; at < text.size();) append_one(out, next_code_point(text, at));
  return out;
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

void append_json_char(std::string& out, char32_t c, bool ensure_ascii) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: break;
  }
  const auto escape = [&](char32_t unit) { out += fmt::format("\\u{:04x}", static_cast<uint32_t>(unit)); };
  if (c < 0x20 || (ensure_ascii && c > 0x7F && c <= 0xFFFF)) return escape(c);
  if (!ensure_ascii || c <= 0x7F) return append_utf8(out, c);
  escape(0xD800 + ((c - 0x10000) >> 10));
  escape(0xDC00 + ((c - 0x10000) & 0x3FF));
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}
  jinja::string out;

  void write(const value& v, size_t level) {
    const jinja::nested depth;
    jinja::spend(64);
    if (is_string(v)) return write_string(v->val_str);
    if (v->is_none()) return append(out, "null");
    if (jinja::is_val<jinja::value_bool>(v)) return append(out, v->val_int ? "true" : "false");
    if (jinja::is_val<jinja::value_int>(v)) return append(out, std::to_string(v->val_int));
    if (is_number(v)) return append(out, json_float(v->val_flt));
    if (is_sequence(v)) return write_list(v, level);
    if (is_object(v)) return write_object(v, level);
    type_error(fmt::format("tojson: {} is not JSON serializable", v->type()));
  }

 private:
  static std::string json_float(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return float_repr(number);
  }

  void write_string(const jinja::string& text) {
    append(out, "\"");
    out.append(each_part(text, [&](const std::string& part) {
             return each_code_point(part, [&](std::string& to, char32_t c) { append_json_char(to, c, style_.ensure_ascii); });
           }));
    append(out, "\"");
  }

  void line(size_t level) {
    if (!style_.multiline) return;
    append(out, "\n");
    for (size_t i = 0; i < level; ++i) append(out, style_.indent);
  }

  void write_list(const value& v, size_t level) {
    if (v->val_arr.empty()) return append(out, "[]");
    append(out, "[");
    for (size_t i = 0; i < v->val_arr.size(); ++i) {
      if (i > 0) append(out, style_.item_separator);
      line(level + 1);
      write(v->val_arr[i], level + 1);
    }
    line(level);
    append(out, "]");
  }

  void write_key(const value& key) {
    if (is_string(key)) return write_string(key->val_str);
    append(out, "\"");
    write(key, 0);
    append(out, "\"");
  }

  void write_object(const value& v, size_t level) {
    if (v->val_obj.empty()) return append(out, "{}");
    jinja::spend(16 * v->val_obj.size());
    auto items = v->val_obj;
    if (style_.sort_keys) std::stable_sort(items.begin(), items.end(), [](auto& a, auto& b) { return less(a.first, b.first); });
    append(out, "{");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) append(out, style_.item_separator);
      line(level + 1);
      write_key(items[i].first);
      append(out, style_.key_separator);
      write(items[i].second, level + 1);
    }
    line(level);
    append(out, "}");
  }

  const JsonStyle& style_;
};

}  // namespace

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::fabs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, plain ? std::chars_format::fixed : std::chars_format::scientific);
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
  jinja::spend(64);
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

jinja::string to_json(const value& v, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(v, 0);
  return std::move(writer.out);
}

}  // namespace graft::python
