// `x is ...`
#include "graft/core/error.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

template <bool (*check)(const value&)>
value test(const Call& call) {
  return make_bool(check(call.self()));
}
bool is_defined(const value& v) { return !is_undefined(v); }
bool is_none(const value& v) { return v->is_none(); }
bool is_boolean(const value& v) { return jinja::is_val<jinja::value_bool>(v); }
bool is_true(const value& v) { return is_boolean(v) && v->val_int; }
bool is_false(const value& v) { return is_boolean(v) && !v->val_int; }
bool is_integer(const value& v) { return jinja::is_val<jinja::value_int>(v); }
bool is_float(const value& v) { return jinja::is_val<jinja::value_float>(v); }
bool is_callable(const value& v) { return jinja::is_val<jinja::value_func>(v); }
bool is_dict(const value& v) { return is_object(v) && jinja::cast_val<jinja::value_object>(v)->has_builtins; }
bool is_iterable(const value& v) { return is_sequence(v) || is_dict(v) || is_string(v) || is_undefined(v); }

template <value (*change)(const Call&)>
value is_unchanged(const Call& call) {
  return make_bool(equal(change(call), make_text(str(call.self()))));
}

value odd(const Call& call) { return make_bool(truth(arithmetic("%", call.self(), make_int(2)))); }
value even(const Call& call) { return make_bool(!truth(arithmetic("%", call.self(), make_int(2)))); }
value divisible_by(const Call& call) { return make_bool(!truth(arithmetic("%", call.self(), call.need(0, "num")))); }
value is_equal(const Call& call) { return make_bool(equal(call.self(), call.need(0, "other"))); }
value is_not_equal(const Call& call) { return make_bool(!equal(call.self(), call.need(0, "other"))); }
value is_less(const Call& call) { return make_bool(less(call.self(), call.need(0, "other"))); }
value is_greater(const Call& call) { return make_bool(less(call.need(0, "other"), call.self())); }
value is_at_most(const Call& call) { return make_bool(!less(call.need(0, "other"), call.self())); }
value is_at_least(const Call& call) { return make_bool(!less(call.self(), call.need(0, "other"))); }
value is_in(const Call& call) { return make_bool(contains(call.need(0, "seq"), call.self())); }
value is_filter(const Call& call) { return make_bool(find_filter(str(call.self()).str()) != nullptr); }
value is_test(const Call& call) { return make_bool(find_test(str(call.self()).str()) != nullptr); }

/// One and the same: small values by what they are, others by identity.
value is_same(const Call& call) {
  const value a = call.self(), b = call.need(0, "other");
  const bool single = a->is_none() || is_undefined(a) || is_integral(a);
  return make_bool(a == b || (single && a->type() == b->type() && equal(a, b)));
}

constexpr Row tests[] = {
    {"defined", test<is_defined>},
    {"undefined", test<is_undefined>},
    {"none", test<is_none>},
    {"string", test<is_string>},
    {"boolean", test<is_boolean>},
    {"true", test<is_true>},
    {"false", test<is_false>},
    {"integer", test<is_integer>},
    {"float", test<is_float>},
    {"number", test<is_number>},
    {"mapping", test<is_dict>},
    {"iterable", test<is_iterable>},
    {"sequence", test<is_iterable>},
    {"callable", test<is_callable>},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible_by},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"==", is_equal},
    {"ne", is_not_equal},
    {"!=", is_not_equal},
    {"lt", is_less},
    {"lessthan", is_less},
    {"<", is_less},
    {"gt", is_greater},
    {"greaterthan", is_greater},
    {">", is_greater},
    {"le", is_at_most},
    {"<=", is_at_most},
    {"ge", is_at_least},
    {">=", is_at_least},
    {"in", is_in},
    {"sameas", is_same},
    {"lower", is_unchanged<lower>},
    {"upper", is_unchanged<upper>},
    {"filter", is_filter},
    {"test", is_test},
};

}  // namespace

Function find_test(std::string_view name) {
  for (const Row& row : tests)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace graft::python
