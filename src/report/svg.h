#pragma once
// Small pieces of charts, as SVG text. A chart is laid out for one width; a page that shall suit a phone too draws it twice.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace graft::svg {

/// Of labels, in the units of a picture: from one line to the next, and a letter.
constexpr double label_gap = 14, label_letter = 6.1;

struct Size {
  double width, height;
};

/// From numbers to places. What lies outside, infinities too, is drawn at the edge; a NaN at `start`.
struct Scale {
  double from = 0, to = 1, start = 0, end = 1;
  bool log = false;
  double operator()(double value) const;
};

/// The finite values' range, widened to round numbers. `log`: numbers <= 0 do not count, and decades it has to span, or it is linear.
Scale scale_of(const std::vector<double>& values, double start, double end, bool log = false);
std::vector<double> ticks(const Scale& scale);

/// For text and attributes, of HTML as well.
std::string escape(std::string_view text);
/// A number with a true minus sign; "∞" and "–" where there is none.
std::string shown(double value, int decimals);
std::string text(double x, double y, std::string_view css, std::string_view content);
std::string line(double x1, double y1, double x2, double y2, std::string_view css);

/// Grid, numbers and titles of a plot.
std::string axes(const Scale& x, const Scale& y, std::string_view x_title, std::string_view y_title);

/// Places as near to the wanted ones as may be, at least `gap` apart and within [low, high] if they fit there.
std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high);

/// <svg>, with `css` as its class; `title` is read out.
std::string picture(Size size, std::string_view css, std::string_view title, std::string_view content);

/// draw(size) for a desk and for a phone; the page's style shows one of them.
template <class Draw>
std::string for_both(Size desk, Size phone, std::string_view title, Draw&& draw) {
  return picture(desk, "desk", title, draw(desk)) + picture(phone, "phone", title, draw(phone));
}

}  // namespace graft::svg
