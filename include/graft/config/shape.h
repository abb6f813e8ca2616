#pragma once
// What a section consists of and holds, as plain data: the one source of YAML text, help, JSON schema, comparison and "did you
// mean".
#include <string>
#include <variant>
#include <vector>

#include "graft/config/field.h"

namespace graft {

struct ShapeField;

struct Shape {
  enum class Kind { boolean, integer, number, string, names, section, list, map, optional };
  using Scalar = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, std::vector<std::string>>;

  Kind kind = Kind::section;
  Scalar value;                     // of a scalar or of names
  std::vector<ShapeField> fields;   // a section's fields; the items of a list, map or optional
  std::vector<ShapeField> element;  // list, map, optional: one field, what an item is, with its defaults
};

struct ShapeField {
  std::string key;
  std::string help;
  Bounds bounds;
  std::vector<std::string> choices;
  Shape shape;
};

Shape shape_of(SectionRef section);

/// The dotted path of every field, items of lists as `*` and of maps as `<name>`: "data.train.*.path".
std::vector<std::string> field_paths(const Shape& shape);

/// A scalar as YAML writes it: numbers in their shortest form that reads back equal, text quoted where it must be.
std::string scalar_text(const Shape::Scalar& value);
/// Text in double quotes, on one line.
std::string double_quoted(const std::string& text);
/// Text as a YAML scalar, in quotes where it needs them.
std::string quoted_text(const std::string& text);
/// A whole value on one line: "[a, b]", "{path: x}".
std::string flow_text(const Shape& shape);

}  // namespace graft
