// Where the weights of a block lie and where the formats' code points do.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantization_charts.h"
#include "svg.h"

namespace graft {
namespace {

using svg::Scale;
using svg::Size;

struct PointRow {
  std::string name;
  std::vector<double> points;   // rising, of a block whose largest magnitude is 1
  int bits;
};

std::vector<PointRow> point_rows() {
  std::vector<PointRow> rows;
  for (const auto& [name, codec] : {std::pair{"nf4", kernels::Codec::nf4}, std::pair{"fp4", kernels::Codec::fp4}}) {
    const float* points = kernels::code_points(codec);
    rows.push_back({name, {points, points + 16}, 4});
    std::sort(rows.back().points.begin(), rows.back().points.end());
  }
  PointRow int4{"int4_affine", {}, 4}, int8{"int8_absmax", {}, 8};
  for (int code = -8; code < 8; ++code) int4.points.push_back(code / 7.5);   // of a block that spans [-1, 1]: its zero is code 8
  for (int code = -127; code < 128; ++code) int8.points.push_back(code / 127.0);
  rows.push_back(int4), rows.push_back(int8);
  return rows;
}

/// The share of the weights that is nearest to each point; within a bin they are taken as evenly spread.
std::vector<double> usage(const Histogram& histogram, const std::vector<double>& points) {
  double total = 0;
  for (const double count : histogram) total += count;
  const auto below = [&](double value) {
    const double place = std::clamp((value + 1) * 32, 0.0, 64.0);
    double sum = 0;
    for (size_t i = 0; i < 64; ++i) sum += histogram[i] * std::clamp(place - static_cast<double>(i), 0.0, 1.0);
    return sum / total;
  };
  std::vector<double> shares;
  double last = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double next = i + 1 < points.size() ? below((points[i] + points[i + 1]) / 2) : 1;
    shares.push_back(next - last);
    last = next;
  }
  return shares;
}

double entropy(const std::vector<double>& shares) {
  double bits = 0;
  for (const double share : shares)
    if (share > 0) bits -= share * std::log2(share);
  return bits;
}

std::string bell(const Histogram& histogram, const Scale& x, double top, double base) {
  const Scale y{0, *std::max_element(histogram.begin(), histogram.end()), base, top};
  std::string path = fmt::format("M{:.1f} {:.1f}", x(-1), base);
  for (size_t i = 0; i < 64; ++i)
    path += fmt::format("V{:.1f}H{:.1f}", y(histogram[i]), x(static_cast<double>(i + 1) / 32 - 1));
  return fmt::format("<path d=\"{}V{:.1f}Z\" class=\"bell\"/>", path, base);
}

/// Sticks at the points: their height is the points' share of the weights, against a dashed line where all are used alike.
std::string point_row(const PointRow& row, const Histogram& histogram, const Scale& x, double base) {
  const auto shares = usage(histogram, row.points);
  const double even = 20;   // a share of 1 / points
  std::string sticks;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double height = std::min(58.0, even * shares[i] * static_cast<double>(shares.size()));
    sticks += fmt::format("M{:.1f} {:.1f}V{:.1f}", x(row.points[i]), base + 3, base - height);
  }
  const std::string css = row.bits == 8 ? "dense" : row.name == "nf4" ? "c3" : row.name == "fp4" ? "c4" : "c2";
  return svg::line(x.start, base, x.end, base, "grid") + svg::line(x.start, base - even, x.end, base - even, "even") +
         fmt::format("<path d=\"{}\" class=\"stick {}\"/>", sticks, css) + svg::text(x.start, base - 44, "label strong", row.name) +
         svg::text(x.end, base - 44, "label end", fmt::format("{:.2f} of {} bits", entropy(shares), row.bits));
}

std::string weights_picture(const Histogram& histogram, Size size) {
  const Scale x{-1.08, 1.08, 6, size.width - 6};
  const auto rows = point_rows();
  const double row_height = 80, base = size.height - 26 - row_height * static_cast<double>(rows.size());
  std::string out;
  for (const double point : rows.front().points) out += svg::line(x(point), 8, x(point), base + row_height, "guide");
  out += bell(histogram, x, 8, base) + svg::line(x.start, base, x.end, base, "axis");
  for (size_t i = 0; i < rows.size(); ++i) out += point_row(rows[i], histogram, x, base + row_height * static_cast<double>(i + 1) - 4);
  for (const double tick : {-1.0, -0.5, 0.0, 0.5, 1.0}) out += svg::text(x(tick), size.height - 6, "number middle", svg::shown(tick, 1));
  return out;
}

}  // namespace

std::string weights_chart(const ModelReport& report) {
  if (std::none_of(report.histogram.begin(), report.histogram.end(), [](double count) { return count > 0; })) return "";
  const std::string picture = svg::for_both({1160, 570}, {360, 530}, "Weights and code points",
                                            [&](Size size) { return weights_picture(report.histogram, size); });
  return figure("Where the weights lie, and where the codes",
      "Above, the weights over their block’s largest magnitude (blocks of 64, so 1 in 64 lies at ±1); the thin lines are nf4’s points. Below, a "
      "stick a code: where it lies and, as its height, the share of the weights that it stands for; on the dashed line all would be used alike. "
      "nf4’s points crowd where the bell is high, an even grid spends codes on tails that few weights reach. At the right, the codes’ entropy.",
      picture);
}

}  // namespace graft
