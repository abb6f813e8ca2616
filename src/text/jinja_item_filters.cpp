#include "graft/core/error.h"
#include "jinja_filters.h"

namespace graft::python {
namespace {

/// `a.b.0` from an item, as jinja2's attribute arguments have it.
value attribute_of(const value& item, const value& path) {
  if (is_integral(path)) return get_item(item, path);
  const std::string text = str(path).str();
  value v = item;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('.', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    const bool number = !name.empty() && name.size() < 10 && name.find_first_not_of("0123456789") == std::string::npos;
    v = get_item(v, number ? make_int(std::stoll(name)) : make_string(name));
    begin = end + 1;
  }
  return v;
}

/// What items are compared by: an attribute or themselves, strings without case unless asked for.
class Key {
 public:
  Key(const Call& call, size_t case_position, size_t attribute_position)
      : call_(call), cased_(call.flag(case_position, "case_sensitive")), attribute_(call.get(attribute_position, "attribute")) {}
  value operator()(const value& item) const {
    const value v = attribute_ && !attribute_->is_none() ? attribute_of(item, attribute_) : item;
    return is_string(v) && !cased_ ? lower(Call("lower", v, {}, call_.context())) : v;
  }

 private:
  const Call& call_;
  bool cased_;
  value attribute_;
};

/// A stable merge sort by keys that are computed once. Not std::sort: a comparison of mixed types throws.
std::vector<value> sorted_by(const std::vector<value>& items, const std::vector<value>& keys, bool backwards) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return backwards ? less(keys[b], keys[a]) : less(keys[a], keys[b]); });
  std::vector<value> out;
  for (const size_t i : order) out.push_back(items[i]);
  return out;
}

std::vector<value> keys_of(const std::vector<value>& items, const Key& key) {
  std::vector<value> out;
  for (const value& item : items) out.push_back(key(item));
  return out;
}

std::vector<value> rest_of(const Call& call, size_t skipped) {
  const auto& all = call.positional();
  return {all.begin() + static_cast<std::ptrdiff_t>(std::min(skipped, all.size())), all.end()};
}

/// jinja2's generators yield nothing from what is false, None among it.
std::vector<value> items_if_true(const value& v) { return truth(v) ? items_of(v) : std::vector<value>(); }

/// The items for which a test (or their truth) is `wanted`; `by_attribute`: tested by what the first argument names.
value selected(const Call& call, bool by_attribute, bool wanted) {
  const value attribute = by_attribute ? call.need(0, "attribute") : nullptr;
  const size_t at = by_attribute;
  const std::string name = at < call.positional().size() ? call.text(at, "test") : "";
  const Function test = name.empty() ? nullptr : find_test(name);
  if (!name.empty() && !test) type_error(fmt::format("unknown test '{}'", name));
  std::vector<value> out;
  for (const value& item : items_if_true(call.self())) {
    const value v = attribute ? attribute_of(item, attribute) : item;
    const value result = test ? test(Call(name.c_str(), v, rest_of(call, at + 1), call.context())) : v;
    if (truth(result) == wanted) out.push_back(item);
  }
  return make_array(std::move(out));
}

value extreme(const Call& call, bool largest) {
  const std::vector<value> items = items_of(call.self());
  if (items.empty()) return make_undefined("the extreme of an empty sequence");
  const std::vector<value> keys = keys_of(items, Key(call, 0, 1));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i)
    if (largest ? less(keys[best], keys[i]) : less(keys[i], keys[best])) best = i;
  return items[best];
}

}  // namespace

value join_items(const Call& call) {
  const value separator = call.get(0, "d"), attribute = call.get(1, "attribute");
  jinja::string out;
  bool first = true;
  for (const value& item : items_of(call.self())) {
    if (!first && separator) out.append(str(separator));
    out.append(str(attribute && !attribute->is_none() ? attribute_of(item, attribute) : item));
    first = false;
  }
  return make_text(std::move(out));
}

value first_item(const Call& call) {
  const std::vector<value> items = items_of(call.self());
  return items.empty() ? make_undefined("the first of an empty sequence") : items.front();
}

value last_item(const Call& call) {
  const std::vector<value> items = items_of(call.self());
  return items.empty() ? make_undefined("the last of an empty sequence") : items.back();
}

value list_items(const Call& call) { return make_array(items_of(call.self())); }

value map_items(const Call& call) {
  std::vector<value> out;
  value attribute, fallback;
  for (const auto& [key, v] : call.named()) {
    if (key == "attribute") attribute = v;
    if (key == "default") fallback = v;
  }
  const std::string name = attribute ? "" : call.text(0, "filter");
  const Function filter = attribute ? nullptr : find_filter(name);
  if (!attribute && !filter) type_error(fmt::format("unknown filter '{}'", name));
  for (const value& item : items_if_true(call.self())) {
    const value v =
        attribute ? attribute_of(item, attribute) : filter(Call(name.c_str(), item, rest_of(call, 1), call.context()));
    out.push_back(attribute && fallback && is_undefined(v) ? fallback : v);
  }
  return make_array(std::move(out));
}

value select_items(const Call& call) { return selected(call, false, true); }
value reject_items(const Call& call) { return selected(call, false, false); }
value select_by_attribute(const Call& call) { return selected(call, true, true); }
value reject_by_attribute(const Call& call) { return selected(call, true, false); }

value dict_items(const Call& call) {
  if (is_undefined(call.self())) return make_array({});
  if (!is_object(call.self())) type_error("items needs a dict");
  return find_method(call.self(), "items")(call);
}

value dict_sorted(const Call& call) {
  const value by = call.get(1, "by");
  const bool by_value = by && str(by).str() == "value";
  const std::vector<value> items = dict_items(call)->val_arr;
  std::vector<value> keys;
  const bool cased = call.flag(0, "case_sensitive");
  for (const value& pair : items) {
    const value v = pair->val_arr[by_value];
    keys.push_back(is_string(v) && !cased ? lower(Call("lower", v, {}, call.context())) : v);
  }
  return make_array(sorted_by(items, keys, call.flag(2, "reverse")));
}

value sorted(const Call& call) {
  const std::vector<value> items = items_of(call.self());
  return make_array(sorted_by(items, keys_of(items, Key(call, 1, 2)), call.flag(0, "reverse")));
}

value unique_items(const Call& call) {
  const Key key(call, 0, 1);
  auto seen = jinja::mk_val<jinja::value_object>();
  std::vector<value> out;
  for (const value& item : items_of(call.self())) {
    const value k = key(item);
    if (seen->has_key(k)) continue;
    seen->insert(k, make_none());
    out.push_back(item);
  }
  return make_array(std::move(out));
}

value reversed(const Call& call) {
  std::vector<value> items = items_of(call.self());
  std::reverse(items.begin(), items.end());
  if (!is_string(call.self())) return make_array(std::move(items));
  return join_items(Call("join", make_array(std::move(items)), {}, call.context()));
}

value sum_items(const Call& call) {
  const value attribute = call.get(0, "attribute"), start = call.get(1, "start");
  value total = start ? start : make_int(0);
  for (const value& item : items_of(call.self()))
    total = arithmetic("+", total, attribute && !attribute->is_none() ? attribute_of(item, attribute) : item);
  return total;
}

value smallest(const Call& call) { return extreme(call, false); }
value largest(const Call& call) { return extreme(call, true); }

}  // namespace graft::python
