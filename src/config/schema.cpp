#include <cmath>

#include "graft/config/help.h"

namespace graft::detail {
namespace {

using Kind = Shape::Kind;

struct ScalarJson {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(double value) const { return std::isfinite(value) ? Json(value) : Json(nullptr); }
  template <class T>
  Json operator()(const T& value) const {
    return value;
  }
};

/// A value as JSON.
Json json_of(const Shape& shape) {
  if (shape.kind <= Kind::names) return std::visit(ScalarJson{}, shape.value);
  if (shape.kind == Kind::optional) return shape.fields.empty() ? Json(nullptr) : json_of(shape.fields[0].shape);
  Json json = shape.kind == Kind::list ? Json::array() : Json::object();
  for (const auto& field : shape.fields) {
    if (shape.kind == Kind::list)
      json.push_back(json_of(field.shape));
    else
      json[field.key] = json_of(field.shape);
  }
  return json;
}

Json value_schema(const Shape& shape, const ShapeField& field);

Json object_schema(const Shape& section) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
  for (const auto& field : section.fields) {
    Json& property = schema["properties"][field.key];
    property = Json::object();
    if (!field.help.empty()) property["description"] = field.help;
    property.update(value_schema(field.shape, field));
    if (field.shape.kind != Kind::section) property["default"] = json_of(field.shape);
  }
  return schema;
}

Json number_schema(const char* type, const Bounds& bounds) {
  Json schema = {{"type", type}};
  if (std::isfinite(bounds.low)) schema[bounds.low_excluded ? "exclusiveMinimum" : "minimum"] = bounds.low;
  if (std::isfinite(bounds.high)) schema["maximum"] = bounds.high;
  return schema;
}

Json string_schema(const ShapeField& field) {
  // Unquoted numbers are text too where text is expected.
  if (field.choices.empty()) return {{"type", {"string", "number", "boolean"}}};
  return {{"type", "string"}, {"enum", field.choices}};
}

Json any_of(Json one, Json other) { return {{"anyOf", Json::array({std::move(one), std::move(other)})}}; }

/// An item of a list: a section that starts with a text may be given as that text alone.
Json item_schema(const ShapeField& item, const ShapeField& field) {
  Json schema = value_schema(item.shape, field);
  const auto& inner = item.shape.fields;
  const bool is_short = item.shape.kind == Kind::section && !inner.empty() && inner[0].shape.kind == Kind::string;
  return is_short ? any_of(string_schema(inner[0]), std::move(schema)) : schema;
}

/// What a value must be; `field` has the bounds and choices, which hold for the items of a list as well.
Json value_schema(const Shape& shape, const ShapeField& field) {
  switch (shape.kind) {
    case Kind::boolean:
      return {{"type", "boolean"}};
    case Kind::integer:
      return number_schema("integer", field.bounds);
    case Kind::number:
      return number_schema("number", field.bounds);
    case Kind::string:
      return string_schema(field);
    case Kind::names:
      return any_of(string_schema(field), {{"type", "array"}, {"items", string_schema(field)}});
    case Kind::section:
      return any_of(object_schema(shape), {{"type", "null"}});
    case Kind::list:
      return {{"type", "array"}, {"items", item_schema(shape.element[0], field)}};
    case Kind::map:
      return {{"type", "object"}, {"additionalProperties", value_schema(shape.element[0].shape, field)}};
    case Kind::optional:
      break;
  }
  const Shape& inner = shape.fields.empty() ? shape.element[0].shape : shape.fields[0].shape;
  if (inner.kind == Kind::section) return value_schema(inner, field);
  return any_of(value_schema(inner, field), {{"type", "null"}});
}

}  // namespace

Json schema_of(const Shape& shape) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "graft job"}};
  schema.update(object_schema(shape));
  const Json file = {{"type", "string"}};
  schema["properties"]["include"] = {{"description", "files merged below this one"},
                                     {"anyOf", Json::array({file, Json{{"type", "array"}, {"items", file}}})}};
  return schema;
}

}  // namespace graft::detail
