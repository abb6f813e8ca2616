// Values as YAML text.
#include <algorithm>
#include <cctype>

#include "graft/config/shape.h"
#include "graft/core/error.h"
#include "text.h"
#include "utf8.h"

namespace graft {
namespace {

/// Text that some YAML reader would take for a bool, null, number or date.
bool looks_like_a_value(const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view word : {"null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"})
    if (lower == word) return true;
  const bool starts_like_a_number = std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '.';
  return starts_like_a_number && lower.find_first_not_of("0123456789abcdefox_.:+-") == std::string::npos;
}

bool is_plain(const std::string& text) {
  const auto is_word = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '/'; };
  const auto is_inner = [&](unsigned char c) {
    return is_word(c) || std::string_view(" -+@%=*()|<>;$^").find(c) != std::string_view::npos;
  };
  if (text.empty() || !(is_word(text[0]) || text[0] == '~') || text.back() == ' ') return false;
  return std::all_of(text.begin() + 1, text.end(), is_inner) && !looks_like_a_value(text);
}

struct ScalarText {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(uint64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return number_text(value); }
  std::string operator()(const std::string& value) const { return quoted_text(value); }
  std::string operator()(const std::vector<std::string>& values) const {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : ", ") + quoted_text(value);
    return "[" + text + "]";
  }
};

}  // namespace

std::string double_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\t':
        quoted += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          quoted += fmt::format("\\x{:02x}", c);
        else
          quoted += c;
    }
  }
  return quoted + "\"";
}

std::string quoted_text(const std::string& text) {
  require(!first_bad_byte(text), "{} cannot be written as YAML: it is not UTF-8 text", double_quoted(text));
  return is_plain(text) ? text : double_quoted(text);
}

std::string plain_or_quoted(const std::string& text, bool is_text) {
  return is_text || text.empty() || !looks_like_a_value(text) ? quoted_text(text) : text;
}

std::string scalar_text(const Shape::Scalar& value) { return std::visit(ScalarText{}, value); }

std::string flow_text(const Shape& shape) {
  using Kind = Shape::Kind;
  if (shape.kind == Kind::optional) return shape.fields.empty() ? "null" : flow_text(shape.fields[0].shape);
  if (shape.kind != Kind::list && shape.kind != Kind::map && shape.kind != Kind::section) return scalar_text(shape.value);
  std::string text;
  for (const auto& field : shape.fields) {
    if (!text.empty()) text += ", ";
    if (shape.kind != Kind::list) text += quoted_text(field.key) + ": ";
    text += flow_text(field.shape);
  }
  return shape.kind == Kind::list ? "[" + text + "]" : "{" + text + "}";
}

}  // namespace graft
