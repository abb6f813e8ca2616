#include "graft/report/quantization_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "page_style.h"
#include "quantization_charts.h"
#include "svg.h"

namespace graft {
namespace {

std::string parameters_shown(int64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} billion", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} million", value / 1e6);
  return fmt::format("{}", count);
}

/// 262,144.
std::string with_commas(int64_t count) {
  std::string digits = fmt::format("{}", count);
  for (int64_t place = std::ssize(digits) - 3; place > 0; place -= 3) digits.insert(static_cast<size_t>(place), ",");
  return digits;
}

std::string bytes_shown(double bytes) {
  return bytes >= 1 << 30 ? fmt::format("{:.2f} GiB", bytes / (1 << 30)) : fmt::format("{:.1f} MiB", bytes / (1 << 20));
}

/// 3.21 · 10⁻⁶, the power small.
std::string scientific(double value) {
  if (!(value > 0) || !std::isfinite(value)) return svg::shown(value, 0);
  const std::string text = fmt::format("{:.2e}", value);
  const size_t e = text.find('e');
  const int power = std::stoi(text.substr(e + 1));
  return fmt::format("{} · 10<sup>{}</sup>", text.substr(0, e), svg::shown(power, 0));
}

std::string signed_percent(double value) { return (value > 0 ? "+" : "") + svg::shown(value, 2) + " %"; }

// --- The table ----------------------------------------------------------------------------------------------------------------
enum class Best { least, most, none };

struct Column {
  std::string title, hint;
  Best best;
  double dense;                                       // NaN: says nothing of a dense model
  std::function<double(const SchemeReport&)> value;   // NaN: not measured
  std::function<std::string(double)> show;
};

double change(const ModelReport& report, const SchemeReport& scheme) {
  return report.perplexity && scheme.perplexity ? 100 * (*scheme.perplexity / *report.perplexity - 1) : NAN;
}

std::vector<Column> columns_of(const ModelReport& report) {
  const auto rest = 2 * static_cast<double>(report.dense_parameters), whole = 2 * static_cast<double>(report.parameters) + rest;
  const auto digits = [](int count) { return [count](double value) { return svg::shown(value, count); }; };
  const auto shares = [](double value) { return fmt::format("{:.0f} / {:.0f} %", 100 * value, 100 * (1 - value)); };
  using Scheme = const SchemeReport&;
  std::vector<Column> columns = {
      {"bits a<br>parameter", "quantised, constants included", Best::least, 16, [](Scheme s) { return s.total.bits(); }, digits(3)},
      {"size", "of the whole model", Best::least, whole, [=](Scheme s) { return static_cast<double>(s.total.bytes) + rest; }, bytes_shown},
      {"SNR, dB", "the weights’ energy over their error’s", Best::most, NAN, [](Scheme s) { return s.total.signal_to_noise(); }, digits(2)},
      {"MSE", "mean squared error of a weight", Best::least, NAN, [](Scheme s) { return s.total.mean_squared_error(); }, scientific},
      {"largest<br>error", "of any weight", Best::least, NAN, [](Scheme s) { return s.total.largest; }, digits(4)},
      {"rounding /<br>clipping", "shares of the squared error", Best::none, NAN, [](Scheme s) { return 1 - s.total.clipping_share(); }, shares},
      {"perplexity", "on the text", Best::least, report.perplexity.value_or(NAN), [](Scheme s) { return s.perplexity.value_or(NAN); }, digits(3)},
      {"change", "of perplexity, against the dense model", Best::least, NAN, [&](Scheme s) { return change(report, s); }, signed_percent},
      {"KL", "nats a token, from the dense model", Best::least, NAN, [](Scheme s) { return s.kl.value_or(NAN); }, digits(5)}};
  std::erase_if(columns, [&](const Column& column) {
    return std::all_of(report.schemes.begin(), report.schemes.end(), [&](const SchemeReport& s) { return std::isnan(column.value(s)); });
  });
  return columns;
}

struct Range {
  double least = INFINITY, most = -INFINITY, most_finite = 0;
};
Range range_of(const Column& column, const ModelReport& report) {
  Range range;
  for (const SchemeReport& scheme : report.schemes) {
    const double value = column.value(scheme);
    if (std::isnan(value)) continue;
    range.least = std::min(range.least, value), range.most = std::max(range.most, value);
    if (std::isfinite(value)) range.most_finite = std::max(range.most_finite, value);
  }
  return range;
}

std::string cell(const Column& column, const Range& range, double value) {
  if (std::isnan(value)) return "<td class=\"n\" data-v=\"\">–</td>";
  const bool split = column.best == Best::none;
  const std::string text = column.show(value);
  // Alike as shown is as good as the best.
  const bool best = !split && text == column.show(column.best == Best::most ? range.most : range.least);
  const double part = split ? value : range.most_finite > 0 ? value / range.most_finite : 0;
  const double sorted = std::clamp(value, -1e300, 1e300);
  return fmt::format("<td class=\"n bar{}{}\" style=\"--w:{:.3f}\" data-v=\"{:.6g}\">{}</td>", split ? " split" : "", best ? " best" : "",
                     std::clamp(part, 0.0, 1.0), sorted, text);
}

/// What the schemes are measured against; it stays on top when the table is sorted.
std::string dense_row(const ModelReport& report, const std::vector<Column>& columns) {
  std::string out = "<tbody class=\"reference\"><tr><th>dense, 16 bits</th>";
  for (const Column& column : columns) out += fmt::format("<td class=\"n\">{}</td>", std::isnan(column.dense) ? "" : column.show(column.dense));
  return out + "</tr></tbody>\n";
}

std::string scheme_table(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  const auto columns = columns_of(report);
  std::vector<Range> ranges;
  std::string out = "<div class=\"scroll\"><table><thead><tr><th><button>scheme</button></th>";
  for (const Column& column : columns) {
    ranges.push_back(range_of(column, report));
    out += fmt::format("<th class=\"n\"><button title=\"{}\">{}</button></th>", column.hint, column.title);
  }
  out += "</tr></thead>\n" + dense_row(report, columns) + "<tbody>\n";
  for (size_t i = 0; i < report.schemes.size(); ++i) {
    const std::string name = svg::escape(looks[i].name);
    out += fmt::format("<tr data-s=\"{}\"><th data-v=\"{}\"><i class=\"swatch {}\"></i>{}</th>", i, name, looks[i].css, name);
    for (size_t c = 0; c < columns.size(); ++c) out += cell(columns[c], ranges[c], columns[c].value(report.schemes[i]));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n<p class=\"key\">Bits are those of the quantised matrices, their constants included; the size is the whole "
               "model’s, with what stays in 16 bits. A column’s best is bold; a click on its head sorts by it.</p>\n";
}

// --- The head -----------------------------------------------------------------------------------------------------------------
/// Of each code width, the scheme that comes nearest to the dense model.
std::string findings(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  const bool by_kl = std::all_of(report.schemes.begin(), report.schemes.end(), [](const SchemeReport& s) { return s.kl.has_value(); });
  const auto cost = [&](const SchemeReport& s) { return by_kl ? *s.kl : -s.total.signal_to_noise(); };
  std::map<int, size_t> best;
  for (size_t i = 0; i < report.schemes.size(); ++i) {
    const auto [it, first] = best.emplace(report.schemes[i].scheme.format->code_bits, i);
    if (!first && cost(report.schemes[i]) < cost(report.schemes[it->second])) it->second = i;
  }
  std::string out;
  for (const auto& [bits, i] : best) {
    const SchemeReport& scheme = report.schemes[i];
    out += fmt::format("<p>In {} bits, <b>{}</b> comes closest: {} dB at {} bits a parameter", bits, svg::escape(looks[i].name),
                       svg::shown(scheme.total.signal_to_noise(), 1), svg::shown(scheme.total.bits(), 2));
    if (const double percent = change(report, scheme); std::isfinite(percent)) out += ", perplexity " + signed_percent(percent);
    out += ".</p>\n";
  }
  return "<div class=\"findings\">" + out + "</div>\n";
}

std::string head(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  std::string facts;
  const auto fact = [&](std::string_view title, const std::string& value) {
    facts += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", title, svg::escape(value));
  };
  fact("Parameters quantised", parameters_shown(report.parameters));
  fact("Left in 16 bits", parameters_shown(report.dense_parameters));
  fact("Schemes", fmt::format("{}", report.schemes.size()));
  if (report.text.empty()) fact("Text", "none measured: errors of the weights alone");
  else fact("Text", fmt::format("{}, {} tokens", report.text, with_commas(report.tokens)));
  if (report.perplexity) fact("Dense perplexity", svg::shown(*report.perplexity, 3));
  return "<p class=\"eyebrow\">What quantising costs</p>\n<h1>" + svg::escape(report.model) + "</h1>\n" + findings(report, looks) + "<dl>" + facts +
         "</dl>\n";
}

std::string section(const std::string& content) { return content.empty() ? "" : "<section>\n" + content + "</section>\n"; }

}  // namespace

std::string quantization_page(const ModelReport& report) {
  const auto looks = looks_of(report);
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
                    svg::escape(report.model) + ": what quantising costs</title>\n<style>";
  out += page_style;
  out += "</style></head><body><main>\n<header>" + head(report, looks) + "</header>\n";
  out += scheme_table(report, looks);
  if (!report.schemes.empty()) out += section(cost_charts(report, looks));
  out += section(weights_chart(report)) + section(layer_charts(report, looks)) + section(module_table(report, looks));
  out += "</main><script>";
  out += page_script;
  return out + "</script></body></html>\n";
}

}  // namespace graft
