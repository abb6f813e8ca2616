// Python's json.dumps, as transformers' tojson filter calls it.
#include <cmath>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

void append_json_char(std::string& out, char32_t c, bool ensure_ascii) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
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
    jinja::spend(512);
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

jinja::string to_json(const value& v, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(v, 0);
  return std::move(writer.out);
}

}  // namespace graft::python
