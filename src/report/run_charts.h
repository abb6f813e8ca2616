#pragma once
// The pictures of a run's page: curves over steps, each with a legend that shows their last values (and those under the pointer).
#include <string>
#include <vector>

#include "graft/report/run_history.h"

namespace graft {

struct Series {
  std::string name, css;  // css: c0 ... c5, see page_style.h
  Curve curve;
  bool faint = false;  // in the background, without a place in the legend
};

struct Chart {
  std::string title, caption, unit;
  std::vector<Series> series;
  enum class Scale { fitted, from_zero, decades } scale = Scale::fitted;  // decades: logarithmic, where the values span some
};

/// "" if there is nothing to draw.
std::string line_chart(const Chart& chart);

/// At most about twice `buckets` points: of each bucket the least and the largest, so that no spike is lost, and every gap.
Curve downsampled(const Curve& curve, size_t buckets);

/// An exponential mean over about a fiftieth of the points; gaps stay.
Curve smoothed(const Curve& curve);

/// 0.01234, 1.234, 1234, 3.1e-05.
std::string number_shown(double value);

}  // namespace graft
