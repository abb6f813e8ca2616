#include "dot_labels.h"

#include <fmt/format.h>

#include <algorithm>

namespace graft::svg {
namespace {

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool meets(const Box& other) const { return left < other.right && other.left < right && top < other.bottom && other.top < bottom; }
};

Box around(const LabelledDot& dot) { return {dot.x - 6, dot.y - 6, dot.x + 6, dot.y + 6}; }

double width_of(const LabelledDot& dot) { return label_letter * static_cast<double>(dot.label.size()); }

std::string label(const LabelledDot& dot, double x, double y, std::string_view css, const std::string& leader) {
  return fmt::format("<g data-s=\"{}\">{}{}</g>", dot.series, leader, text(x, y + 4, css, dot.label));
}

struct Place {
  double x, y;
  std::string_view css;
  Box box;
};

std::vector<Place> places_beside(const LabelledDot& dot) {
  const double width = width_of(dot), half = label_gap / 2;
  const auto place = [&](double x, double y, std::string_view css, double left) {
    return Place{x, y, css, {left, y - half, left + width, y + half}};
  };
  return {place(dot.x + 10, dot.y, "label", dot.x + 10), place(dot.x - 10, dot.y, "label end", dot.x - 10 - width),
          place(dot.x, dot.y - 14, "label middle", dot.x - width / 2), place(dot.x, dot.y + 15, "label middle", dot.x - width / 2)};
}

std::optional<std::string> labels_beside(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y) {
  std::vector<Box> taken;
  for (const LabelledDot& dot : dots) taken.push_back(around(dot));
  std::string out;
  for (const LabelledDot& dot : dots) {
    const auto places = places_beside(dot);
    const auto free = std::find_if(places.begin(), places.end(), [&](const Place& place) {
      const Box& box = place.box;
      return box.left > x.start && box.right < x.end + 10 && box.top > y.end - 10 && box.bottom < y.start &&
             std::none_of(taken.begin(), taken.end(), [&](const Box& other) { return other.meets(box); });
    });
    if (free == places.end()) return std::nullopt;
    taken.push_back(free->box);
    out += label(dot, free->x, free->y, free->css, "");
  }
  return out;
}

struct Column {
  double edge;                             // where its text begins
  double toward;                           // the labels, from a dot: 1 or -1
  std::vector<const LabelledDot*> dots;
  std::vector<double> places;              // of the labels
};

void set_places(Column& column, const Scale& y) {
  std::vector<double> wanted;
  for (const LabelledDot* dot : column.dots) wanted.push_back(dot->y);
  column.places = spread(wanted, label_gap, y.end, y.start - 6);
}

/// To the right of the dots of the plot's left half, to the left of the others.
Column column_of(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y, bool right) {
  Column column{right ? x.end : x.start, right ? -1.0 : 1.0, {}, {}};
  for (const LabelledDot& dot : dots) {
    if ((dot.x > (x.start + x.end) / 2) != right) continue;
    column.dots.push_back(&dot);
    column.edge = right ? std::min(column.edge, dot.x - 24) : std::max(column.edge, dot.x + 24);
  }
  set_places(column, y);
  return column;
}

Box box_of(const Column& column) {
  if (column.dots.empty()) return {};
  double width = 0;
  for (const LabelledDot* dot : column.dots) width = std::max(width, width_of(*dot));
  const auto [top, bottom] = std::minmax_element(column.places.begin(), column.places.end());
  const double other = column.edge + column.toward * width;
  return {std::min(column.edge, other), *top - label_gap / 2, std::max(column.edge, other), *bottom + label_gap / 2};
}

std::string drawn(const Column& column) {
  std::string out;
  for (size_t i = 0; i < column.dots.size(); ++i) {
    const LabelledDot& dot = *column.dots[i];
    out += label(dot, column.edge, column.places[i], column.toward < 0 ? "label end" : "label",
                 line(dot.x + column.toward * 6, dot.y, column.edge - column.toward * 3, column.places[i], "leader"));
  }
  return out;
}

}  // namespace

std::optional<std::string> labels_inside(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y) {
  if (auto beside = labels_beside(dots, x, y)) return beside;
  const Column left = column_of(dots, x, y, false), right = column_of(dots, x, y, true);
  const Box a = box_of(left), b = box_of(right);
  const bool too_wide = a.right > x.end || (!right.dots.empty() && b.left < x.start);
  const bool covers = std::any_of(dots.begin(), dots.end(), [&](const LabelledDot& dot) { return a.meets(around(dot)) || b.meets(around(dot)); });
  if (too_wide || covers || a.meets(b)) return std::nullopt;
  return drawn(left) + drawn(right);
}

std::string labels_at_right(const std::vector<LabelledDot>& dots, const Scale& x, const Scale& y) {
  Column column{x.end + 14, 1, {}, {}};
  for (const LabelledDot& dot : dots) column.dots.push_back(&dot);
  set_places(column, y);
  return drawn(column);
}

double width_at_right(const std::vector<LabelledDot>& dots) {
  double width = 0;
  for (const LabelledDot& dot : dots) width = std::max(width, width_of(dot));
  return width + 8;
}

}  // namespace graft::svg
