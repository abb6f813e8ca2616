#include "scalars.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "graft/core/error.h"

namespace graft {
namespace {

std::string expected(std::string_view what, const ConfigNode& node, std::string_view hint = "") {
  return fmt::format("expected {}, got {}{}", what, node.described(), hint);
}

bool is_plain_scalar(const ConfigNode& node) { return node.kind == ConfigNode::Kind::scalar && !node.quoted; }

/// What people write for numbers in other tools, and what to write here.
std::string number_hint(const ConfigNode& node) {
  if (node.kind == ConfigNode::Kind::scalar && node.quoted) return " (without quotes it would be a number)";
  if (node.text.find_first_of("_,") != std::string::npos) return " (write digits only, no separators)";
  if (node.text.size() > 1 && node.text.back() == '%') return " (write a fraction: 5% is 0.05)";
  return "";
}

/// The whole of `text` as a T; from_chars takes no leading plus.
template <class T>
std::errc parse_whole(std::string_view text, T& out) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{}) return error;
  return end == text.data() + text.size() ? std::errc{} : std::errc::invalid_argument;
}

bool has_leading_zero(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

template <class T>
std::string read_whole_number(const ConfigNode& node, T& out) {
  if (!is_plain_scalar(node)) return expected("an integer", node, number_hint(node));
  if (has_leading_zero(node.text)) return expected("an integer", node, " (a leading zero means octal to some readers)");
  T value{};
  const std::errc error = parse_whole(node.text, value);
  if (error == std::errc::result_out_of_range)
    return fmt::format("{} does not fit: this is an integer from {} to {}", node.described(), std::numeric_limits<T>::min(),
                       std::numeric_limits<T>::max());
  if (error == std::errc{}) {
    out = value;
    return "";
  }
  double real = 0;  // 1e3 and 3.0 are integers too, where doubles are exact
  if (!read_number(node, real).empty()) return expected("an integer", node, number_hint(node));
  if (real != std::floor(real) || std::abs(real) > 0x1p53) return expected("an integer", node);
  const double low = static_cast<double>(std::numeric_limits<T>::min());
  const double high = std::min(static_cast<double>(std::numeric_limits<T>::max()), 0x1p53);
  if (real < low || real > high)
    return fmt::format("{} does not fit: this is an integer from {} to {}", node.described(), std::numeric_limits<T>::min(),
                       std::numeric_limits<T>::max());
  out = static_cast<T>(real);
  return "";
}

}  // namespace

std::string read_bool(const ConfigNode& node, bool& out) {
  if (is_plain_scalar(node) && (node.text == "true" || node.text == "false")) {
    out = node.text == "true";
    return "";
  }
  std::string lower = node.text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view yes : {"yes", "on", "y", "true", "1"})
    if (lower == yes) return expected("true or false", node, " (write true)");
  for (const std::string_view no : {"no", "off", "n", "false", "0"})
    if (lower == no) return expected("true or false", node, " (write false)");
  return expected("true or false", node);
}

std::string read_integer(const ConfigNode& node, int& out) { return read_whole_number(node, out); }
std::string read_integer(const ConfigNode& node, int64_t& out) { return read_whole_number(node, out); }
std::string read_integer(const ConfigNode& node, uint64_t& out) { return read_whole_number(node, out); }

std::string read_number(const ConfigNode& node, double& out) {
  if (!is_plain_scalar(node)) return expected("a number", node, number_hint(node));
  if (node.text == ".inf" || node.text == "-.inf") {
    out = node.text[0] == '-' ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return "";
  }
  // from_chars also knows inf and nan, which are names of other things in YAML.
  if (node.text.find_first_not_of("0123456789+-.eE") != std::string::npos) return expected("a number", node, number_hint(node));
  double value = 0;
  const std::errc error = parse_whole(node.text, value);
  if (error == std::errc::result_out_of_range) return fmt::format("{} is beyond what a double holds", node.described());
  if (error != std::errc{}) return expected("a number", node);
  out = value;
  return "";
}

std::string read_string(const ConfigNode& node, std::string& out) {
  if (node.kind != ConfigNode::Kind::scalar) return expected("text", node);
  out = node.text;
  return "";
}

}  // namespace graft
