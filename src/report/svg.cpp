#include "svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace graft::svg {
namespace {

/// 1, 2 or 5 times a power of ten: about `count` of them in `span`.
double round_step(double span, int count) {
  const double rough = span / count, power = std::pow(10, std::floor(std::log10(rough)));
  const double lead = rough / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

}  // namespace

double Scale::operator()(double value) const {
  if (!(value > from)) return start;
  if (value >= to) return end;
  const double part = log ? std::log(value / from) / std::log(to / from) : (value - from) / (to - from);
  return start + part * (end - start);
}

Scale scale_of(const std::vector<double>& values, double start, double end, bool log) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values)
    if (std::isfinite(value) && (!log || value > 0)) low = std::min(low, value), high = std::max(high, value);
  if (low > high) low = high = 1;
  if (log && high / low > 10) return {std::pow(10, std::floor(std::log10(low))), std::pow(10, std::ceil(std::log10(high))), start, end, true};
  if (high - low < 1e-3 * std::fabs(high)) low -= 0.1 * std::fabs(high), high += 0.1 * std::fabs(high);
  if (low == high) low -= 0.5, high += 0.5;
  const double step = round_step(high - low, 5);
  return {std::floor(low / step) * step, std::ceil(high / step) * step, start, end};
}

std::vector<double> ticks(const Scale& scale) {
  std::vector<double> found;
  if (scale.log) {
    const bool few = scale.to / scale.from < 101;   // within two decades the steps between are worth a line
    for (double decade = scale.from; decade < scale.to * 1.001; decade *= 10)
      for (const double step : {1.0, 2.0, 5.0})
        if ((step == 1 || few) && decade * step < scale.to * 1.001) found.push_back(decade * step);
    return found;
  }
  const double step = round_step(scale.to - scale.from, 5);
  for (double count = std::ceil(scale.from / step - 0.01); count * step < scale.to + step / 100; ++count) found.push_back(count * step + 0.0);   // never -0
  return found;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else if (c == '\'') out += "&#39;";
    else out += c;
  }
  return out;
}

std::string shown(double value, int decimals) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
  const std::string digits = fmt::format("{:.{}f}", std::fabs(value), decimals);
  const bool zero = digits.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? "−" + digits : digits;
}

std::string text(double x, double y, std::string_view css, std::string_view content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>", x, y, css, escape(content));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view css) {
  return fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" class=\"{}\"/>", x1, y1, x2, y2, css);
}

std::string axes(const Scale& x, const Scale& y, std::string_view x_title, std::string_view y_title) {
  std::string out;
  for (const double tick : ticks(y)) {
    out += line(x.start, y(tick), x.end, y(tick), "grid");
    out += text(x.start - 8, y(tick) + 4, "number end", fmt::format("{:.6g}", tick));
  }
  for (const double tick : ticks(x)) {
    out += line(x(tick), y.start, x(tick), y.start + 4, "axis");
    out += text(x(tick), y.start + 18, "number middle", fmt::format("{:.6g}", tick));
  }
  out += line(x.start, y.start, x.end, y.start, "axis");
  out += text(x.start - 30, y.end - 16, "title", y_title);
  return out + text(x.end, y.start + 36, "title end", x_title);
}

std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
  // Least squares under the order: less i * gap the places only have to rise, and a run that would fall shares its mean.
  struct Run { double sum; int count; };
  std::vector<Run> runs;
  const auto mean = [](const Run& run) { return run.sum / run.count; };
  for (size_t i = 0; i < order.size(); ++i) {
    runs.push_back({wanted[order[i]] - static_cast<double>(i) * gap, 1});
    while (runs.size() > 1 && mean(runs[runs.size() - 2]) > mean(runs.back())) {
      const Run last = runs.back();
      runs.pop_back();
      runs.back() = {runs.back().sum + last.sum, runs.back().count + last.count};
    }
  }
  std::vector<double> places(wanted.size());
  const double highest = std::max(low, high - gap * (static_cast<double>(order.size()) - 1));
  size_t i = 0;
  for (const Run& run : runs)
    for (int k = 0; k < run.count; ++k, ++i) places[order[i]] = std::clamp(mean(run), low, highest) + static_cast<double>(i) * gap;
  return places;
}

std::string picture(Size size, std::string_view css, std::string_view title, std::string_view content) {
  return fmt::format("<svg class=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">{}</svg>\n", css, size.width, size.height,
                     escape(title), content);
}

}  // namespace graft::svg
