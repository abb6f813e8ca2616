#include "quantization_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "svg.h"

namespace graft {
namespace {

using svg::Scale;
using svg::Size;

constexpr double label_gap = 14, letter = 6.1;   // of the charts' labels, in the units of a picture

std::string short_label(const Scheme& scheme) {
  std::string label(scheme.format->name);
  label += scheme.grouping == Grouping::block ? fmt::format(" {}", scheme.block_size) : scheme.grouping == Grouping::row ? " row" : " tensor";
  if (scheme.double_quantization) label += " dq";
  if (scheme.clip == Scheme::Clip::mse) label += " mse";
  if (scheme.clip == Scheme::Clip::percentile) label += fmt::format(" {}%", scheme.clip_percentile);
  return label;
}

std::string figure(std::string_view css, std::string_view title, std::string_view caption, std::string_view content) {
  return fmt::format("<figure class=\"{}\"><h3>{}</h3>\n{}<figcaption>{}</figcaption></figure>\n", css, title, content, caption);
}

// --- Bits against error -------------------------------------------------------------------------------------------------------
/// One of the two measures, by scheme; NaN where it was not taken.
struct Measure {
  std::string_view unit;
  bool log;                 // and less is better
  std::vector<double> values;
};

struct Dot {
  size_t scheme;
  double bits, value;       // as measured
  double x, y;              // in the picture
};

/// A line through the schemes that no other beats on both counts.
std::string frontier(std::vector<Dot> dots, bool less_is_better) {
  const auto cost = [&](const Dot& dot) { return less_is_better ? dot.value : -dot.value; };
  std::sort(dots.begin(), dots.end(), [&](const Dot& a, const Dot& b) { return a.bits != b.bits ? a.bits < b.bits : cost(a) < cost(b); });
  std::string path;
  double best = INFINITY;
  for (const Dot& dot : dots) {
    if (!path.empty() && cost(dot) >= best) continue;
    best = cost(dot);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", dot.x, dot.y);
  }
  return fmt::format("<path d=\"{}\" class=\"frontier\"/>", path);
}

/// Labels stand in a column beside their cluster: to the right of the dots of the left half, to the left of the others.
struct LabelColumn {
  bool right;               // of the plot's middle
  double edge, reach;       // where its text begins, and ends
  std::vector<const Dot*> dots;
};

LabelColumn label_column(const std::vector<Dot>& dots, const std::vector<SchemeLook>& looks, const Scale& x, bool right) {
  LabelColumn column{right, right ? x.end : x.start, 0, {}};
  double width = 0;
  for (const Dot& dot : dots) {
    if ((dot.x > (x.start + x.end) / 2) != right) continue;
    column.dots.push_back(&dot);
    column.edge = right ? std::min(column.edge, dot.x - 16) : std::max(column.edge, dot.x + 16);
    width = std::max(width, letter * static_cast<double>(looks[dot.scheme].label.size()));
  }
  column.reach = column.edge + (right ? -width : width);
  return column;
}

std::string dot_labels(const std::vector<Dot>& dots, const std::vector<SchemeLook>& looks, const Scale& x, const Scale& y) {
  const LabelColumn left = label_column(dots, looks, x, false), right = label_column(dots, looks, x, true);
  std::string out;
  const auto write = [&](const std::vector<const Dot*>& members) {
    std::vector<double> wanted;
    for (const Dot* dot : members) wanted.push_back(dot->y);
    const auto places = svg::spread(wanted, label_gap, y.end, y.start - 6);
    for (size_t i = 0; i < members.size(); ++i) {
      const Dot& dot = *members[i];
      const bool is_right = dot.x > (x.start + x.end) / 2;
      const double at = is_right ? right.edge : left.edge, toward = is_right ? -1 : 1;
      out += fmt::format("<g data-s=\"{}\">{}{}</g>", dot.scheme, svg::line(dot.x + toward * 6, dot.y, at - toward * 3, places[i], "leader"),
                         svg::text(at, places[i] + 4, is_right ? "label end" : "label", looks[dot.scheme].label));
    }
  };
  if (left.reach < right.reach) return write(left.dots), write(right.dots), out;
  std::vector<const Dot*> all = left.dots;   // the columns would run into each other: their labels take turns
  all.insert(all.end(), right.dots.begin(), right.dots.end());
  return write(all), out;
}

std::string cost_chart(const ModelReport& report, const std::vector<SchemeLook>& looks, const Measure& measure, Size size) {
  std::vector<double> bits;
  for (const SchemeReport& scheme : report.schemes) bits.push_back(scheme.total.bits());
  const Scale x = svg::scale_of(bits, 52, size.width - 14), y = svg::scale_of(measure.values, size.height - 44, 34, measure.log);
  std::vector<Dot> dots;
  std::string marks;
  for (size_t i = 0; i < bits.size(); ++i) {
    const double value = measure.values[i];
    if (std::isnan(value)) continue;
    dots.push_back({i, bits[i], value, x(bits[i]), y(value)});
    marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" class=\"dot {}\" data-s=\"{}\"><title>{}: {} bits, {} {}</title></circle>",
                         dots.back().x, dots.back().y, looks[i].css, i, svg::escape(looks[i].name), shown(bits[i], 3),
                         measure.log ? fmt::format("{:.3g}", value) : shown(value, 2), measure.unit);
  }
  return svg::axes(x, y, "bits a parameter", measure.unit) + frontier(dots, measure.log) + dot_labels(dots, looks, x, y) + marks;
}

// --- The weights' shape -------------------------------------------------------------------------------------------------------
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
  const double even = 14;   // a share of 1 / points
  std::string sticks;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double height = std::min(46.0, even * shares[i] * static_cast<double>(shares.size()));
    sticks += fmt::format("M{:.1f} {:.1f}V{:.1f}", x(row.points[i]), base + 3, base - height);
  }
  const std::string css = row.bits == 8 ? "dense" : row.name == "nf4" ? "c3" : row.name == "fp4" ? "c4" : "c2";
  return svg::line(x.start, base, x.end, base, "grid") + svg::line(x.start, base - even, x.end, base - even, "even") +
         fmt::format("<path d=\"{}\" class=\"stick {}\"/>", sticks, css) + svg::text(x.start, base - 32, "label strong", row.name) +
         svg::text(x.end, base - 32, "label end", fmt::format("{:.2f} of {} bits", entropy(shares), row.bits));
}

std::string weights_picture(const Histogram& histogram, Size size) {
  const Scale x{-1.08, 1.08, 6, size.width - 6};
  const auto rows = point_rows();
  const double row_height = 66, base = size.height - 26 - row_height * static_cast<double>(rows.size());
  std::string out;
  for (const double point : rows.front().points) out += svg::line(x(point), 8, x(point), base + row_height, "guide");
  out += bell(histogram, x, 8, base) + svg::line(x.start, base, x.end, base, "axis");
  for (size_t i = 0; i < rows.size(); ++i) out += point_row(rows[i], histogram, x, base + row_height * static_cast<double>(i + 1) - 4);
  for (const double tick : {-1.0, -0.5, 0.0, 0.5, 1.0}) out += svg::text(x(tick), size.height - 6, "number middle", shown(tick, 1));
  return out;
}

}  // namespace

std::vector<SchemeLook> looks_of(const ModelReport& report) {
  std::vector<SchemeLook> looks;
  std::map<const Format*, int> seen;
  for (const SchemeReport& report_of : report.schemes) {
    const Scheme& scheme = report_of.scheme;
    const auto place = std::find(formats().begin(), formats().end(), scheme.format) - formats().begin();
    looks.push_back({describe(scheme), short_label(scheme), fmt::format("c{} v{}", place % 6, seen[scheme.format]++ % 4)});
  }
  return looks;
}

std::string shown(double value, int decimals) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
  std::string text = fmt::format("{:.{}f}", std::fabs(value), decimals);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? "−" + text : text;
}

std::string cost_charts(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  Measure snr{"SNR, dB", false, {}}, kl{"KL, nats a token", true, {}};
  bool measured = false;
  for (const SchemeReport& scheme : report.schemes) {
    snr.values.push_back(scheme.total.signal_to_noise());
    kl.values.push_back(scheme.kl.value_or(NAN));
    measured |= scheme.kl.has_value();
  }
  const double height = std::max(380.0, label_gap * static_cast<double>(looks.size()) + 90);
  const Size desk{measured ? 540.0 : 1100.0, height}, phone{360, height};
  const auto draw = [&](const Measure& measure, std::string_view title) {
    return svg::for_both(desk, phone, title, [&](Size size) { return cost_chart(report, looks, measure, size); });
  };
  std::string out = figure("", "Bits against the weights' error",
      "Up and to the left is better: a cleaner copy of the weights in fewer bits. The line joins the schemes that no other beats on both "
      "counts; one more bit well spent is worth about 6 dB.", draw(snr, "Bits a parameter against signal to noise"));
  if (measured)
    out += figure("", "Bits against what the model says",
        "Down and to the left is better: how far the next-token distributions stray from the dense model's. The scale is logarithmic.",
        draw(kl, "Bits a parameter against KL"));
  return "<div class=\"pair\">" + out + "</div>\n<p class=\"key\">Labels: a number is the block size, dq is double quantisation, mse or a "
         "percentage is how the range was clipped. A colour is a format.</p>\n";
}

std::string weights_chart(const ModelReport& report) {
  if (std::none_of(report.histogram.begin(), report.histogram.end(), [](double count) { return count > 0; })) return "";
  const std::string picture = svg::for_both({1100, 510}, {360, 460}, "Weights and code points",
                                            [&](Size size) { return weights_picture(report.histogram, size); });
  return figure("", "Where the weights lie, and where the codes",
      "Above, the weights over their block's largest magnitude (blocks of 64, so 1 in 64 lies at ±1). Below, a stick a code: where it lies, and "
      "as its height the share of the weights that it stands for. Sticks on the dashed line mean that no code is wasted: nf4's points crowd "
      "where the bell is high, an even grid spends codes on tails that few weights reach. At the right, the entropy of the codes.", picture);
}

}  // namespace graft
