#include "graft/config/help.h"

#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "text.h"

namespace graft::detail {
namespace {

using Kind = Shape::Kind;

constexpr size_t widest_key = 44;
constexpr size_t widest_default = 24;

struct Row {
  std::string key, type, usual, help;
};

std::string type_of(const Shape& shape) {
  switch (shape.kind) {
    case Kind::boolean:
      return "true/false";
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "number";
    case Kind::string:
      return "text";
    case Kind::names:
      return "text or list";
    case Kind::section:
      return "section";
    case Kind::list:
      return "list of " + type_of(shape.element[0].shape);
    case Kind::map:
      return "map of " + type_of(shape.element[0].shape);
    case Kind::optional:
      return type_of(shape.element[0].shape);
  }
  return "";
}

std::string default_of(const Shape& shape) {
  if (shape.kind == Kind::section) return "";
  if (shape.kind == Kind::optional) return shape.fields.empty() ? "none" : default_of(shape.fields[0].shape);
  if (shape.kind == Kind::list && shape.fields.empty()) return "";
  if (shape.kind == Kind::map && shape.fields.empty()) return "";
  return flow_text(shape);
}

std::string help_of_field(const ShapeField& field) {
  std::string text = field.help;
  const auto add_part = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (!field.choices.empty()) add_part(join(field.choices, " | "));
  if (const std::string bounds = bounds_text(field.bounds); !bounds.empty()) add_part(bounds);
  return text;
}

void add_rows(const Shape& shape, const std::string& path, std::vector<Row>& rows);

/// The rows of what a field contains: a section's fields, or those of an item.
void add_inner_rows(const Shape& shape, const std::string& path, std::vector<Row>& rows) {
  if (shape.kind == Kind::section) return add_rows(shape, path, rows);
  if (shape.element.empty()) return;
  const std::string inner = shape.kind == Kind::list ? path + ".0" : shape.kind == Kind::map ? path + ".NAME" : path;
  add_inner_rows(shape.kind == Kind::optional && !shape.fields.empty() ? shape.fields[0].shape : shape.element[0].shape, inner,
                 rows);
}

void add_rows(const Shape& shape, const std::string& path, std::vector<Row>& rows) {
  for (const auto& field : shape.fields) {
    const std::string key = path.empty() ? field.key : path + "." + field.key;
    rows.push_back({key, type_of(field.shape), default_of(field.shape), help_of_field(field)});
    add_inner_rows(field.shape, key, rows);
  }
}

}  // namespace

std::string help_of(const Shape& shape) {
  std::vector<Row> rows{{"key", "type", "default", ""}};
  add_rows(shape, "", rows);
  size_t key = 0, type = 0, usual = 0;
  for (const Row& row : rows) {
    key = std::max(key, std::min(row.key.size(), widest_key));
    type = std::max(type, row.type.size());
    usual = std::max(usual, std::min(row.usual.size(), widest_default));
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = fmt::format("{:{}}  {:{}}  {:{}}  {}", row.key, key, row.type, type, row.usual, usual, row.help);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace graft::detail
