// Methods of dicts and lists. Those that would change them are absent: transformers' sandbox refuses them.
#include "graft/core/error.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

value get(const Call& call) {
  const value key = call.need(0, "key"), otherwise = call.get(1, "default");
  if (!is_undefined(key) && call.self()->has_key(key)) return call.self()->at(key);
  return otherwise ? otherwise : make_none();
}

value keys(const Call& call) { return make_array(items_of(call.self())); }

value values(const Call& call) {
  std::vector<value> out;
  for (const auto& [key, item] : call.self()->val_obj) jinja::spend(16), out.push_back(item);
  return make_array(std::move(out));
}

value items(const Call& call) {
  std::vector<value> out;
  for (const auto& [key, item] : call.self()->val_obj) out.push_back(make_tuple({key, item}));
  return make_array(std::move(out));
}

value copy(const Call& call) {
  if (is_sequence(call.self())) return make_array(items_of(call.self()));
  return jinja::mk_val<jinja::value_object>(call.self()->val_obj);
}

value index(const Call& call) {
  const auto& all = call.self()->val_arr;
  for (size_t i = 0; i < all.size(); ++i)
    if (equal(all[i], call.need(0, "value"))) return make_int(static_cast<int64_t>(i));
  type_error("index(): not in the list");
}

value count(const Call& call) {
  int64_t found = 0;
  for (const value& item : call.self()->val_arr) found += equal(item, call.need(0, "value"));
  return make_int(found);
}

value cycle(const Call& call) {
  const auto& all = call.positional();
  if (all.empty()) type_error("loop.cycle() needs values");
  return all[static_cast<size_t>(call.self()->at("index0")->val_int) % all.size()];
}

constexpr Row dict_methods[] = {{"get", get}, {"keys", keys}, {"values", values}, {"items", items}, {"copy", copy}};
constexpr Row list_methods[] = {{"index", index}, {"count", count}, {"copy", copy}};
constexpr Row loop_methods[] = {{"cycle", cycle}};

}  // namespace

Function find_string_method(std::string_view name);

Function find_method(const value& v, std::string_view name) {
  if (is_string(v)) return find_string_method(name);
  std::span<const Row> rows;
  if (is_sequence(v)) rows = list_methods;
  if (is_object(v))
    rows = jinja::cast_val<jinja::value_object>(v)->has_builtins ? std::span<const Row>(dict_methods) : loop_methods;
  for (const Row& row : rows)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
