// How schemes look, and their bits against their error.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dot_labels.h"
#include "quantization_charts.h"
#include "svg.h"

namespace graft {
namespace {

using svg::Scale;
using svg::Size;

std::string short_label(const Scheme& scheme) {
  std::string label(scheme.format->name);
  if (scheme.grouping == Grouping::block) label += fmt::format(" {}", scheme.block_size);
  else if (scheme.grouping != scheme.format->usual) label += scheme.grouping == Grouping::row ? " row" : " tensor";
  if (scheme.double_quantization) label += " dq";
  if (scheme.clip == Scheme::Clip::mse) label += " mse";
  if (scheme.clip == Scheme::Clip::percentile) label += fmt::format(" {}%", scheme.clip_percentile);
  return label;
}

/// One of the two measures, by scheme; NaN where it was not taken.
struct Measure {
  std::string_view unit;
  bool less_is_better;      // and the scale logarithmic
  std::vector<double> values;
  std::set<int> unnamed;    // code widths without labels
};

Measure noise_of(const ModelReport& report) {
  Measure measure{"SNR, dB", false, {}, {}};
  for (const SchemeReport& scheme : report.schemes) measure.values.push_back(scheme.total.signal_to_noise());
  return measure;
}
Measure kl_of(const ModelReport& report) {
  Measure measure{"KL, nats a token", true, {}, {}};
  for (const SchemeReport& scheme : report.schemes) measure.values.push_back(scheme.kl.value_or(NAN));
  return measure;
}

Measure only(Measure measure, const ModelReport& report, int code_bits) {
  for (size_t i = 0; i < measure.values.size(); ++i)
    if (report.schemes[i].scheme.format->code_bits != code_bits) measure.values[i] = NAN;
  measure.unnamed.clear();
  return measure;
}

constexpr int many = 8;   // schemes of a width: the overview then leaves their names to the closer look

/// Code widths with several schemes of unlike size, which lie on a heap where other widths are shown too.
std::vector<int> worth_a_closer_look(const ModelReport& report) {
  std::map<int, std::set<int64_t>> sizes;
  for (const SchemeReport& scheme : report.schemes) sizes[scheme.scheme.format->code_bits].insert(std::lround(100 * scheme.total.bits()));
  std::vector<int> widths;
  for (const auto& [width, of_width] : sizes)
    if (sizes.size() > 1 && of_width.size() > 2) widths.push_back(width);
  return widths;
}

struct Dot {
  size_t scheme;
  double bits, value;       // as measured
  double x, y;              // in the picture
  bool exact;               // no error: it is drawn at the edge
};

std::vector<Dot> dots_of(const ModelReport& report, const Measure& measure, const Scale& x, const Scale& y) {
  std::vector<Dot> dots;
  for (size_t i = 0; i < report.schemes.size(); ++i) {
    const double value = measure.values[i], bits = report.schemes[i].total.bits();
    if (!std::isnan(value)) dots.push_back({i, bits, value, x(bits), y(value), measure.less_is_better ? value <= 0 : std::isinf(value)});
  }
  return dots;
}

std::vector<svg::LabelledDot> labelled(const std::vector<Dot>& dots, const ModelReport& report, const std::vector<SchemeLook>& looks, const Measure& measure) {
  std::vector<svg::LabelledDot> labels;
  for (const Dot& dot : dots)
    if (!measure.unnamed.contains(report.schemes[dot.scheme].scheme.format->code_bits))
      labels.push_back({dot.x, dot.y, looks[dot.scheme].label + (dot.exact ? " (exact)" : ""), dot.scheme});
  return labels;
}

std::string circles(const std::vector<Dot>& dots, const std::vector<SchemeLook>& looks, const Measure& measure) {
  std::string out;
  for (const Dot& dot : dots)
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" class=\"dot {}\" data-s=\"{}\"><title>{}: {} bits; {} {}</title></circle>",
                       dot.x, dot.y, looks[dot.scheme].css, dot.scheme, svg::escape(looks[dot.scheme].name), svg::shown(dot.bits, 3), measure.unit,
                       svg::shown(dot.value, measure.less_is_better ? 5 : 2));
  return out;
}

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

std::string cost_chart(const ModelReport& report, const std::vector<SchemeLook>& looks, const Measure& measure, Size size) {
  std::vector<double> bits;
  for (size_t i = 0; i < looks.size(); ++i) bits.push_back(std::isnan(measure.values[i]) ? NAN : report.schemes[i].total.bits());
  Scale x = svg::scale_of(bits, 46, size.width - 14);
  const Scale y = svg::scale_of(measure.values, size.height - 44, 34, measure.less_is_better);
  auto dots = dots_of(report, measure, x, y);
  auto labels = labelled(dots, report, looks, measure);
  auto names = svg::labels_inside(labels, x, y);
  if (!names) {   // the plot makes room
    x.end -= svg::width_at_right(labels);
    dots = dots_of(report, measure, x, y), labels = labelled(dots, report, looks, measure);
    names = svg::labels_at_right(labels, x, y);
  }
  return svg::axes(x, y, "bits a parameter", std::string(measure.unit) + (y.log ? ", logarithmic" : "")) + frontier(dots, measure.less_is_better) + *names +
         circles(dots, looks, measure);
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

std::string figure(std::string_view title, std::string_view caption, std::string_view content) {
  return fmt::format("<figure><h2>{}</h2>\n{}<figcaption>{}</figcaption></figure>\n", title, content, caption);
}

std::string cost_charts(const ModelReport& report, const std::vector<SchemeLook>& looks) {
  Measure snr = noise_of(report), kl = kl_of(report);
  const bool has_kl = !std::all_of(kl.values.begin(), kl.values.end(), [](double value) { return std::isnan(value); });
  const std::vector<int> closer = worth_a_closer_look(report);
  for (const int bits : closer)
    if (std::count_if(report.schemes.begin(), report.schemes.end(), [&](const SchemeReport& s) { return s.scheme.format->code_bits == bits; }) > many)
      snr.unnamed.insert(bits), kl.unnamed.insert(bits);
  const bool alone = !has_kl && closer.empty();
  std::string out;
  const auto add = [&](const Measure& measure, const std::string& title, std::string_view caption) {
    const double height = std::max(420.0, svg::label_gap * static_cast<double>(looks.size()) + 90);
    out += figure(title, caption, svg::for_both({alone ? 1160.0 : 560.0, height}, {360, height}, title,
                                                [&](Size size) { return cost_chart(report, looks, measure, size); }));
  };
  add(snr, "Bits against the weights’ error",
      std::string("Up and to the left is better: a cleaner copy of the weights in fewer bits. The line joins the schemes that no other beats on both "
                  "counts.") + (snr.unnamed.empty() ? "" : " Dots without a name have one in the closer look."));
  if (has_kl)
    add(kl, "Bits against what the model says",
        "Down and to the left is better: how far the next-token distributions stray from the dense model’s.");
  for (const int bits : closer) {
    add(only(snr, report, bits), fmt::format("The {}-bit formats’ error, closer", bits), "The same on a scale of their own. One more bit, well spent, is worth 6 dB.");
    if (has_kl) add(only(kl, report, bits), fmt::format("What the model says in {} bits, closer", bits), "The same on a scale of their own.");
  }
  return "<div class=\"pair\">" + out + "</div>\n<p class=\"key\">Labels: a number is the block size, dq is double quantisation, mse or a "
         "percentage is how the range was clipped. A colour is a format.</p>\n";
}

}  // namespace graft
