#pragma once
// Labels beside the dots of a scatter plot that cover neither each other nor a dot.
#include <optional>
#include <string>
#include <vector>

#include "svg.h"

namespace graft::svg {

struct LabelledDot {
  double x, y;
  std::string label;
  size_t series;            // data-s of the page's script
};

/// Right beside the dots where all of them have the room, else in columns to which thin lines lead. nullopt if neither fits into the plot.
std::optional<std::string> labels_inside(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y);

/// In one column at the plot's right, which takes this much width.
std::string labels_at_right(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y);
double width_at_right(const std::vector<LabelledDot>& dots);

}  // namespace graft::svg
