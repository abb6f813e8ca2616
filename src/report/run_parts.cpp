#include "run_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "page_style.h"
#include "run_style.h"
#include "svg.h"

namespace graft {

std::string document(std::string_view title, std::string_view body) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src "
      "'unsafe-inline'\">\n<title>";
  out += svg::escape(title) + "</title>\n<style>";
  out += page_style, out += run_style;
  out += "</style></head><body><main>\n", out += body;
  out += "</main><script>", out += run_script;
  return out + "</script></body></html>\n";
}

std::string section(std::string_view title, std::string_view content) {
  return content.empty() ? "" : fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", svg::escape(title), content);
}

std::string facts(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out = "<dl>";
  for (const auto& [title, text] : rows)
    if (!text.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", svg::escape(title), svg::escape(text));
  return out + "</dl>\n";
}

std::string table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& left) {
  const auto css = [&](size_t column) { return std::find(left.begin(), left.end(), column) == left.end() ? "n" : "wrap"; };
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (size_t i = 0; i < heads.size(); ++i)
    out += fmt::format("<th{}>{}</th>", i ? fmt::format(" class=\"{}\"", css(i)) : "", svg::escape(heads[i]));
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i)
      out += i ? fmt::format("<td class=\"{}\">{}</td>", css(i), row[i]) : fmt::format("<th class=\"wrap\">{}</th>", row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string with_commas(int64_t count) {
  std::string digits = fmt::format("{}", count);
  for (int64_t place = std::ssize(digits) - 3; place > 0; place -= 3) digits.insert(static_cast<size_t>(place), ",");
  return digits;
}

std::string duration_shown(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  return s >= 60 ? fmt::format("{} min {:02} s", s / 60, s % 60) : fmt::format("{:.1f} s", seconds);
}

std::string gib_shown(double bytes) { return std::isfinite(bytes) ? fmt::format("{:.2f} GiB", bytes / (1 << 30)) : ""; }

double median(const Curve& curve) {
  std::vector<double> values;
  for (const double value : curve.values)
    if (std::isfinite(value)) values.push_back(value);
  if (values.empty()) return NAN;
  std::nth_element(values.begin(), values.begin() + std::ssize(values) / 2, values.end());
  return values[values.size() / 2];
}

Curve scaled(Curve curve, double factor) {
  for (double& value : curve.values) value *= factor;
  return curve;
}

std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

}  // namespace graft
