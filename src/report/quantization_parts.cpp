// The quantisation page's view from inside the model: error by layer and by kind of module.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "quantization_charts.h"
#include "svg.h"

namespace graft {
namespace {

using svg::Scale;
using svg::Size;

/// The parts of a tensor's name between its dots.
std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    parts.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// 3 of model.layers.3.mlp.up_proj.weight.
std::optional<int> layer_of(std::string_view tensor) {
  bool next = false;
  for (const std::string_view part : parts_of(tensor)) {
    int layer = 0;
    const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), layer);
    if (next && fault == std::errc() && end == part.data() + part.size() && layer >= 0) return layer;
    next = part == "layers";
  }
  return std::nullopt;
}

using ByLayer = std::map<int, QuantizationError>;

ByLayer by_layer(const SchemeReport& scheme) {
  ByLayer layers;
  for (const TensorReport& tensor : scheme.tensors)
    if (const auto layer = layer_of(tensor.name)) layers[*layer].add(tensor.error);
  return layers;
}

struct Line {
  size_t scheme;
  ByLayer layers;
};

/// A layer without error breaks the line.
std::string path_of(const ByLayer& layers, const Scale& x, const Scale& y) {
  std::string path;
  bool open = false;
  for (const auto& [layer, error] : layers) {
    const double snr = error.signal_to_noise();
    if (std::isfinite(snr)) path += fmt::format("{}{:.1f} {:.1f}{}", open ? "L" : "M", x(layer), y(snr), open ? "" : "h0");   // h0: a dot, if it stays alone
    open = std::isfinite(snr);
  }
  return path;
}

std::string line_title(const SchemeLook& look, const ByLayer& layers) {
  const auto less = [](const auto& a, const auto& b) { return a.second.signal_to_noise() < b.second.signal_to_noise(); };
  const auto low = std::min_element(layers.begin(), layers.end(), less), high = std::max_element(layers.begin(), layers.end(), less);
  return fmt::format("{}: {} dB in layer {} to {} dB in layer {}", svg::escape(look.name), svg::shown(low->second.signal_to_noise(), 2), low->first,
                     svg::shown(high->second.signal_to_noise(), 2), high->first);
}

/// The scheme's label; a line that ends without error has no end to see.
std::string line_label(const Line& line, const std::vector<SchemeLook>& looks) {
  return looks[line.scheme].label + (std::isinf(line.layers.rbegin()->second.signal_to_noise()) ? " (exact)" : "");
}

std::string layer_chart(const std::vector<Line>& lines, const std::vector<SchemeLook>& looks, Size size) {
  std::vector<double> layers, ratios, wanted;
  size_t longest = 0;
  for (const Line& line : lines) {
    longest = std::max(longest, line_label(line, looks).size());
    for (const auto& [layer, error] : line.layers) layers.push_back(layer), ratios.push_back(error.signal_to_noise());
  }
  const double right = size.width - svg::label_letter * static_cast<double>(longest) - 22;
  Scale x = svg::scale_of(layers, 46, right), y = svg::scale_of(ratios, size.height - 44, 34);
  x.from = *std::min_element(layers.begin(), layers.end()), x.to = std::max(x.from + 1, *std::max_element(layers.begin(), layers.end()));
  for (const Line& line : lines) wanted.push_back(y(line.layers.rbegin()->second.signal_to_noise()));
  const auto places = svg::spread(wanted, svg::label_gap, y.end, y.start - 4);
  std::string out = svg::axes(x, y, "layer", "SNR, dB");
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    const SchemeLook& look = looks[line.scheme];
    out += fmt::format("<g data-s=\"{}\"><title>{}</title><path d=\"{}\" class=\"line {}\"/>{}{}</g>", line.scheme, line_title(look, line.layers),
                       path_of(line.layers, x, y), look.css, svg::line(x(line.layers.rbegin()->first) + 3, wanted[i], right + 12, places[i], "leader"),
                       svg::text(right + 15, places[i] + 4, "label", line_label(line, looks)));
  }
  return out;
}

// --- By kind of module --------------------------------------------------------------------------------------------------------
/// "q_proj" of model.layers.0.self_attn.q_proj.weight.
std::string module_kind(std::string_view tensor) {
  const auto parts = parts_of(tensor);
  const bool named = parts.size() > 1 && (parts.back() == "weight" || parts.back() == "bias");
  return std::string(parts[parts.size() - (named ? 2 : 1)]);
}

std::vector<std::string> kinds_of(const ModelReport& report) {
  std::vector<std::string> kinds;
  for (const SchemeReport& scheme : report.schemes)
    for (const TensorReport& tensor : scheme.tensors)
      if (std::find(kinds.begin(), kinds.end(), module_kind(tensor.name)) == kinds.end()) kinds.push_back(module_kind(tensor.name));
  return kinds;
}

/// Shaded by how far it is from its scheme's own ratio: 3 dB are the full colour.
std::string cell(const QuantizationError& error, const QuantizationError& total) {
  if (error.count == 0) return "<td class=\"n\">–</td>";
  const double snr = error.signal_to_noise(), off = snr - total.signal_to_noise();
  const double depth = std::isfinite(off) ? std::min(1.0, std::fabs(off) / 3) : 0;
  return fmt::format("<td class=\"n heat {}\" style=\"--a:{:.2f}\">{}</td>", off < 0 ? "worse" : "better", 0.6 * depth, svg::shown(snr, 1));
}

}  // namespace

std::string layer_charts(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  std::map<int, std::vector<Line>> by_bits;   // 4 and 8 bits are 24 dB apart: on one scale neither would show its shape
  for (size_t i = 0; i < report.schemes.size(); ++i)
    if (ByLayer layers = by_layer(report.schemes[i]); !layers.empty())
      by_bits[report.schemes[i].scheme.format->code_bits].push_back({i, std::move(layers)});
  std::string out;
  for (const auto& [bits, lines] : by_bits) {
    const double height = std::max(340.0, svg::label_gap * static_cast<double>(lines.size()) + 90);
    const std::string title = fmt::format("Layer by layer, {} bits", bits);
    out += fmt::format("<figure><h2>{}</h2>\n{}</figure>\n", title, svg::for_both({by_bits.size() > 1 ? 560.0 : 1160.0, height}, {360, height}, title,
                       [&, &lines = lines](Size size) { return layer_chart(lines, looks, size); }));
  }
  if (out.empty()) return "";
  return "<div class=\"pair\">" + out + "</div>\n<p class=\"key\">A line a scheme: higher is a cleaner copy of that layer’s matrices. Dips are "
         "layers whose weights have outliers, the first to spare when bits are to be spent unevenly. Each chart has a scale of its own.</p>\n";
}

std::string module_table(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  const auto kinds = kinds_of(report);
  if (kinds.empty()) return "";
  std::string out = "<table><thead><tr><th>SNR, dB</th>";
  for (const std::string& kind : kinds) out += fmt::format("<th class=\"n\">{}</th>", svg::escape(kind));
  out += "</tr></thead><tbody>\n";
  for (size_t i = 0; i < report.schemes.size(); ++i) {
    std::map<std::string, QuantizationError> errors;
    for (const TensorReport& tensor : report.schemes[i].tensors) errors[module_kind(tensor.name)].add(tensor.error);
    out += fmt::format("<tr data-s=\"{}\"><th><i class=\"swatch {}\"></i>{}</th>", i, looks[i].css, svg::escape(looks[i].label));
    for (const std::string& kind : kinds) out += cell(errors[kind], report.schemes[i].total);
    out += "</tr>\n";
  }
  return "<figure><h2>Module by module</h2>\n<div class=\"scroll\">" + out +
         "</tbody></table></div>\n<figcaption>Each row is shaded against its own scheme: blue matrices come out cleaner than the scheme’s whole, "
         "orange ones noisier; full colour is 3 dB.</figcaption></figure>\n";
}

}  // namespace graft
