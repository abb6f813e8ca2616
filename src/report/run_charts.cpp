#include "run_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "svg.h"

namespace graft {
namespace {

using svg::Scale;
using svg::Size;

constexpr size_t buckets = 250;  // about a pixel each

struct Scales {
  Scale x, y;
};

Scales scales_of(const Chart& chart, Size size) {
  std::vector<double> steps, values;
  for (const Series& series : chart.series) {
    steps.insert(steps.end(), series.curve.steps.begin(), series.curve.steps.end());
    values.insert(values.end(), series.curve.values.begin(), series.curve.values.end());
  }
  if (chart.scale == Chart::Scale::from_zero) values.push_back(0);
  return {svg::scale_of(steps, 52, size.width - 10),
          svg::scale_of(values, size.height - 40, 26, chart.scale == Chart::Scale::decades)};
}

/// The line, broken where there is no number; data-v holds what the pointer reads off.
std::string curve_path(const Series& series, const Scales& scales) {
  std::string path, values;
  bool pen_down = false;
  for (size_t i = 0; i < series.curve.steps.size(); ++i) {
    const double step = series.curve.steps[i], value = series.curve.values[i];
    if (std::isfinite(value)) {
      path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', scales.x(step), scales.y(value));
      values += fmt::format("{:.0f},{};", step, number_shown(value));
    }
    pen_down = std::isfinite(value);
  }
  if (series.faint) return fmt::format("<path d=\"{}\" class=\"faint {}\"/>", path, series.css);
  return fmt::format("<path d=\"{}\" class=\"line {}\" data-v=\"{}\"/>", path, series.css, values);
}

/// Few points are shown as such; a single one would be no line at all.
std::string dots(const Series& series, const Scales& scales) {
  std::string out;
  for (size_t i = 0; i < series.curve.steps.size() && series.curve.steps.size() <= 30 && !series.faint; ++i)
    if (std::isfinite(series.curve.values[i]))
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" class=\"dot v0 {}\"/>", scales.x(series.curve.steps[i]),
                         scales.y(series.curve.values[i]), series.css);
  return out;
}

std::string legend(const Chart& chart) {
  std::string out = "<p class=\"legend\">";
  for (const Series& series : chart.series)
    if (!series.faint)
      out += fmt::format("<span><i class=\"swatch v0 {}\"></i>{} <b>{}</b></span>", series.css, svg::escape(series.name),
                         number_shown(series.curve.last()));
  return out + "<span class=\"at\"></span></p>\n";
}

}  // namespace

std::string number_shown(double value) {
  if (!std::isfinite(value)) return svg::shown(value, 0);
  if (value != 0 && (std::fabs(value) < 1e-3 || std::fabs(value) >= 1e7)) return fmt::format("{:.3g}", value);
  if (std::fabs(value) >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

Curve downsampled(const Curve& curve, size_t count) {
  const size_t size = curve.steps.size();
  if (size <= 2 * count) return curve;
  Curve out;
  for (size_t bucket = 0; bucket < count; ++bucket) {
    const size_t begin = size * bucket / count, end = size * (bucket + 1) / count;
    size_t least = begin, most = begin;
    bool gap = false;
    for (size_t i = begin; i < end; ++i) {
      const double value = curve.values[i];
      if (!std::isfinite(value)) {
        gap = true;
        continue;
      }
      if (!(curve.values[least] <= value)) least = i;  // also where that is NaN
      if (!(curve.values[most] >= value)) most = i;
    }
    if (gap) out.add(curve.steps[begin], NAN);
    for (const size_t i : {std::min(least, most), std::max(least, most)}) out.add(curve.steps[i], curve.values[i]);
  }
  out.add(curve.steps.back(), curve.values.back());
  return out;
}

Curve smoothed(const Curve& curve) {
  const double kept = 1 - 2 / (std::max(1.0, static_cast<double>(curve.steps.size()) / 50) + 1);
  Curve out;
  double sum = 0, weight = 0;
  for (size_t i = 0; i < curve.steps.size(); ++i) {
    if (std::isfinite(curve.values[i])) sum = kept * sum + (1 - kept) * curve.values[i], weight = kept * weight + 1 - kept;
    out.add(curve.steps[i], std::isfinite(curve.values[i]) ? sum / weight : NAN);
  }
  return out;
}

std::string line_chart(const Chart& given) {
  Chart chart = given;
  std::erase_if(chart.series, [](const Series& series) { return !std::isfinite(series.curve.last()); });
  if (chart.series.empty()) return "";
  const std::string above = legend(chart);
  for (Series& series : chart.series) series.curve = downsampled(series.curve, buckets);
  const auto draw = [&](Size size) {
    const Scales scales = scales_of(chart, size);
    std::string out = svg::axes(scales.x, scales.y, "step", chart.unit + (scales.y.log ? " (logarithmic)" : ""));
    for (const Series& series : chart.series) out += curve_path(series, scales) + dots(series, scales);
    return out + svg::line(-9, scales.y.start, -9, scales.y.end, "cursor");
  };
  const std::string caption = chart.caption.empty() ? "" : "<figcaption>" + chart.caption + "</figcaption>";
  return fmt::format("<figure class=\"curves\"><h2>{}</h2>\n{}{}{}</figure>\n", svg::escape(chart.title), above,
                     svg::for_both({560, 290}, {360, 250}, chart.title, draw), caption);
}

}  // namespace graft
