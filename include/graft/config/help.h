#pragma once
// `--help` text and the JSON schema of a section, from the list of fields that reading uses.
#include <string>

#include "graft/config/shape.h"
#include "graft/core/json.h"

namespace graft {

namespace detail {
std::string help_of(const Shape& shape);
Json schema_of(const Shape& shape);
}  // namespace detail

/// An aligned table: key, type, default, help, choices.
template <Section S>
std::string help_text(const S& defaults) {
  return detail::help_of(shape_of(section_ref(defaults)));
}

/// JSON schema (draft 2020-12) of a job, for editors.
template <Section S>
Json json_schema(const S& defaults) {
  return detail::schema_of(shape_of(section_ref(defaults)));
}

}  // namespace graft
