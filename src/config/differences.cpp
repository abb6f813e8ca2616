#include <algorithm>

#include "graft/config/yaml.h"

namespace graft::detail {
namespace {

using Kind = Shape::Kind;

bool is_scalar(const Shape& shape) { return shape.kind <= Kind::names; }

const Shape& inside(const Shape& shape) {
  return shape.kind == Kind::optional && !shape.fields.empty() ? inside(shape.fields[0].shape) : shape;
}

/// Sections, maps and lists of sections are compared part by part; whatever else as a whole.
bool has_parts(const Shape& shape) {
  const auto is_part = [](const ShapeField& field) { return !is_scalar(inside(field.shape)); };
  if (shape.kind == Kind::list) return std::any_of(shape.fields.begin(), shape.fields.end(), is_part);
  return shape.kind == Kind::section || shape.kind == Kind::map;
}

const ShapeField* find(const Shape& shape, const std::string& key, size_t place) {
  if (shape.kind == Kind::list) return place < shape.fields.size() ? &shape.fields[place] : nullptr;
  const auto at =
      std::find_if(shape.fields.begin(), shape.fields.end(), [&](const ShapeField& field) { return field.key == key; });
  return at == shape.fields.end() ? nullptr : &*at;
}

class Comparison {
 public:
  void compare(const Shape& before_value, const Shape& after_value, const std::string& path) {
    const Shape& before = inside(before_value);
    const Shape& after = inside(after_value);
    if (before.kind == after.kind && has_parts(before) && has_parts(after)) return compare_parts(before, after, path);
    const std::string old_text = flow_text(before), new_text = flow_text(after);
    if (old_text != new_text) found.push_back({path, old_text, new_text});
  }

  std::vector<Difference> found;

 private:
  void compare_parts(const Shape& before, const Shape& after, const std::string& path) {
    const auto path_of = [&](const Shape& shape, size_t place) {
      const std::string key = shape.kind == Kind::list ? std::to_string(place) : shape.fields[place].key;
      return path.empty() ? key : path + "." + key;
    };
    for (size_t i = 0; i < before.fields.size(); ++i) {
      const ShapeField& field = before.fields[i];
      if (const ShapeField* other = find(after, field.key, i))
        compare(field.shape, other->shape, path_of(before, i));
      else
        found.push_back({path_of(before, i), flow_text(field.shape), "(absent)"});
    }
    for (size_t i = 0; i < after.fields.size(); ++i)
      if (!find(before, after.fields[i].key, i))
        found.push_back({path_of(after, i), "(absent)", flow_text(after.fields[i].shape)});
  }
};

}  // namespace

std::vector<Difference> differences_of(const Shape& before, const Shape& after) {
  Comparison comparison;
  comparison.compare(before, after, "");
  return std::move(comparison.found);
}

}  // namespace graft::detail
