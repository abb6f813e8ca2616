// Items, attributes and slices: what `v[key]`, `v.name` and `v[a:b:c]` yield in a sandboxed jinja2.
#include "graft/core/error.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

/// Python's index from the end, or npos.
size_t position(int64_t index, size_t length) {
  const auto size = static_cast<int64_t>(length);
  if (index < 0) index += size;
  return index < 0 || index >= size ? std::string::npos : static_cast<size_t>(index);
}

value character(const value& v, int64_t index) {
  const std::vector<size_t> at = code_points(v->val_str.str());
  const size_t i = position(index, at.size() - 1);
  return i == std::string::npos ? nullptr : make_text(part_of(v->val_str, at[i], at[i + 1]));
}

value item_or_null(const value& v, const value& key) {
  if (is_undefined(key)) return nullptr;
  if (is_object(v)) return v->has_key(key) ? v->at(key) : nullptr;
  if (!is_integral(key)) return nullptr;
  if (is_string(v)) return character(v, key->val_int);
  if (!is_sequence(v)) return nullptr;
  const size_t i = position(key->val_int, v->val_arr.size());
  return i == std::string::npos ? nullptr : v->val_arr[i];
}

/// Namespaces and `loop` have attributes, other objects are dicts, which have items.
bool has_attributes(const value& v) { return is_object(v) && !jinja::cast_val<jinja::value_object>(v)->has_builtins; }

value attribute_or_null(const value& v, const std::string& name) {
  if (has_attributes(v) && v->has_key(make_string(name))) return v->at(name);
  const Function method = find_method(v, name);
  return method ? bound("method", method, v) : nullptr;
}

void require_defined(const value& v) {
  const auto* undefined = jinja::cast_val<jinja::value_undefined>(v);
  if (undefined) type_error(fmt::format("{} is undefined", undefined->hint.empty() ? "the value" : "'" + undefined->hint + "'"));
}

struct Bounds {
  int64_t start, stop, step;
};

int64_t bound_of(const value& v, int64_t otherwise, int64_t size, int64_t low, int64_t high) {
  if (!v || v->is_none()) return otherwise;
  if (!is_integral(v)) type_error("slice bounds must be integers or none");
  int64_t index = v->val_int;
  if (index < 0) index = index < -size ? -1 : index + size;
  return std::clamp(index, low, high);
}

Bounds bounds_of(const value& start, const value& stop, const value& step, int64_t size) {
  if (step && !step->is_none() && !is_integral(step)) type_error("a slice's step must be an integer");
  int64_t by = step && !step->is_none() ? step->val_int : 1;
  if (by == 0) type_error("a slice's step cannot be zero");
  by = std::clamp(by, -size - 1, size + 1);
  if (by > 0) return {bound_of(start, 0, size, 0, size), bound_of(stop, size, size, 0, size), by};
  return {bound_of(start, size - 1, size, -1, size - 1), bound_of(stop, -1, size, -1, size - 1), by};
}

}  // namespace

value get_item(const value& v, const value& key) {
  require_defined(v);
  if (value item = item_or_null(v, key)) return item;
  const std::string name = is_string(key) ? key->val_str.str() : "";
  value found = name.empty() ? nullptr : attribute_or_null(v, name);
  return found ? found : make_undefined(name);
}

value get_attribute(const value& v, const std::string& name) {
  require_defined(v);
  if (value found = attribute_or_null(v, name)) return found;
  value item = is_object(v) ? item_or_null(v, make_string(name)) : nullptr;
  return item ? item : make_undefined(name);
}

value get_slice(const value& v, const value& start, const value& stop, const value& step) {
  require_defined(v);
  if (!is_string(v) && !is_sequence(v)) type_error(fmt::format("{} cannot be sliced", v->type()));
  const std::vector<size_t> at = is_string(v) ? code_points(v->val_str.str()) : std::vector<size_t>();
  const auto size = static_cast<int64_t>(is_string(v) ? at.size() - 1 : v->val_arr.size());
  const Bounds b = bounds_of(start, stop, step, size);
  const auto index = [](int64_t i) { return static_cast<size_t>(i); };
  if (is_string(v) && b.step == 1)
    return make_text(part_of(v->val_str, at[index(b.start)], at[index(std::max(b.start, b.stop))]));
  jinja::string text;
  std::vector<value> items;
  for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) {
    jinja::spend(16 + 8 * v->val_str.parts.size());
    if (is_string(v))
      text.append(part_of(v->val_str, at[index(i)], at[index(i) + 1]));
    else
      items.push_back(v->val_arr[index(i)]);
  }
  if (is_string(v)) return make_text(std::move(text));
  return jinja::is_val<jinja::value_tuple>(v) ? make_tuple(std::move(items)) : make_array(std::move(items));
}

}  // namespace graft::python
