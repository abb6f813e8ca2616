// Python's operators on the engine's values. Everything that walks a value pays for it: shared sub-values make small programs
// with huge results.
#include <cmath>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_values.h"

namespace graft::python {
namespace {

double as_float(const value& v) { return jinja::is_val<jinja::value_float>(v) ? v->val_flt : static_cast<double>(v->val_int); }

bool equal_items(const value& a, const value& b) {
  if (jinja::is_val<jinja::value_tuple>(a) != jinja::is_val<jinja::value_tuple>(b)) return false;
  if (a->val_arr.size() != b->val_arr.size()) return false;
  for (size_t i = 0; i < a->val_arr.size(); ++i)
    if (!equal(a->val_arr[i], b->val_arr[i])) return false;
  return true;
}

bool equal_objects(const value& a, const value& b) {
  if (a->val_obj.size() != b->val_obj.size()) return false;
  for (const auto& [key, item] : a->val_obj) {
    if (!b->has_key(key) || !equal(item, b->at(key))) return false;
  }
  return true;
}

value integer_arithmetic(const std::string& op, int64_t a, int64_t b) {
  if (op == "/" || op == "%") {
    if (b == 0) type_error("division by zero");
    if (op == "/") return jinja::mk_val<jinja::value_float>(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) return make_int(0);
    const int64_t rest = a % b;
    return make_int(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
  }
  int64_t result = 0;
  const bool overflow = op == "+"   ? __builtin_add_overflow(a, b, &result)
                        : op == "-" ? __builtin_sub_overflow(a, b, &result)
                                    : __builtin_mul_overflow(a, b, &result);
  if (overflow) type_error("an integer result has more than 64 bits");
  return make_int(result);
}

value float_arithmetic(const std::string& op, double a, double b) {
  const auto made = [](double number) { return jinja::mk_val<jinja::value_float>(number); };
  if (op == "+") return made(a + b);
  if (op == "-") return made(a - b);
  if (op == "*") return made(a * b);
  if (b == 0) type_error("division by zero");
  if (op == "/") return made(a / b);
  const double rest = std::fmod(a, b);
  return made(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

value concatenated(const value& a, const value& b) {
  std::vector<value> items = a->val_arr;
  items.insert(items.end(), b->val_arr.begin(), b->val_arr.end());
  return jinja::is_val<jinja::value_tuple>(a) ? make_tuple(std::move(items)) : make_array(std::move(items));
}

}  // namespace

bool truth(const value& v) {
  if (is_string(v)) {
    for (const auto& part : v->val_str.parts)
      if (!part.val.empty()) return true;
    return false;
  }
  if (is_integral(v)) return v->val_int != 0;
  if (is_number(v)) return v->val_flt != 0;
  if (is_sequence(v)) return !v->val_arr.empty();
  if (is_object(v)) return !v->val_obj.empty();
  return !v->is_none() && !is_undefined(v);
}

bool equal(const value& a, const value& b) {
  const jinja::nested depth;
  jinja::spend(128);
  if (is_integral(a) && is_integral(b)) return a->val_int == b->val_int;
  if (is_number(a) && is_number(b)) return as_float(a) == as_float(b);
  if (is_string(a) && is_string(b)) return a->val_str.length() == b->val_str.length() && a->val_str.str() == b->val_str.str();
  if (is_sequence(a) && is_sequence(b)) return equal_items(a, b);
  if (is_object(a) && is_object(b)) return a == b || equal_objects(a, b);
  if (a->is_none() || is_undefined(a)) return a->is_none() == b->is_none() && is_undefined(a) == is_undefined(b);
  return a == b;
}

bool less(const value& a, const value& b) {
  const jinja::nested depth;
  jinja::spend(128);
  if (is_integral(a) && is_integral(b)) return a->val_int < b->val_int;
  if (is_number(a) && is_number(b)) return as_float(a) < as_float(b);
  if (is_string(a) && is_string(b)) return a->val_str.str() < b->val_str.str();  // UTF-8 keeps the order of code points
  if (is_sequence(a) && is_sequence(b)) {
    for (size_t i = 0; i < a->val_arr.size() && i < b->val_arr.size(); ++i)
      if (!equal(a->val_arr[i], b->val_arr[i])) return less(a->val_arr[i], b->val_arr[i]);
    return a->val_arr.size() < b->val_arr.size();
  }
  type_error(fmt::format("'<' between {} and {}", a->type(), b->type()));
}

bool contains(const value& container, const value& item) {
  if (is_undefined(container)) return false;
  if (is_string(container)) {
    if (!is_string(item)) type_error(fmt::format("'in <string>' needs a string, not {}", item->type()));
    return container->val_str.str().find(item->val_str.str()) != std::string::npos;
  }
  if (is_object(container)) return !is_undefined(item) && container->has_key(item);
  if (!is_sequence(container)) type_error(fmt::format("'in' on {}", container->type()));
  for (const value& one : container->val_arr)
    if (equal(one, item)) return true;
  return false;
}

std::vector<value> items_of(const value& v) {
  if (is_undefined(v)) return {};
  std::vector<value> items;
  if (is_sequence(v)) {
    jinja::spend(16 * v->val_arr.size());
    return v->val_arr;
  }
  if (is_string(v)) {
    const std::vector<size_t> at = code_points(v->val_str.str());
    for (size_t i = 0; i + 1 < at.size(); ++i) {
      jinja::spend(v->val_str.parts.size() * 8);
      items.push_back(make_text(part_of(v->val_str, at[i], at[i + 1])));
    }
    return items;
  }
  if (!is_object(v)) type_error(fmt::format("{} is not iterable", v->type()));
  jinja::spend(16 * v->val_obj.size());
  for (const auto& [key, item] : v->val_obj) items.push_back(key);
  return items;
}

size_t length_of(const value& v) {
  if (is_string(v)) return code_points(v->val_str.str()).size() - 1;
  if (is_sequence(v)) return v->val_arr.size();
  if (is_object(v)) return v->val_obj.size();
  if (is_undefined(v)) return 0;
  type_error(fmt::format("{} has no length", v->type()));
}

value repeated(const value& sequence, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  const size_t each = is_string(sequence) ? sequence->val_str.length() + 64 : 32 * sequence->val_arr.size() + 1;
  if (count > (size_t{1} << 40) / each) jinja::spend(SIZE_MAX);
  if (is_string(sequence)) {
    jinja::string out;
    for (size_t i = 0; i < count; ++i) out.append(sequence->val_str);
    return make_text(std::move(out));
  }
  jinja::spend(count * each);
  std::vector<value> items;
  for (size_t i = 0; i < count; ++i) items.insert(items.end(), sequence->val_arr.begin(), sequence->val_arr.end());
  return make_array(std::move(items));
}

value arithmetic(const std::string& op, const value& a, const value& b) {
  if (is_undefined(a) || is_undefined(b)) type_error(fmt::format("'{}' with an undefined value", op));
  if (is_integral(a) && is_integral(b)) return integer_arithmetic(op, a->val_int, b->val_int);
  if (is_number(a) && is_number(b)) return float_arithmetic(op, as_float(a), as_float(b));
  if (op == "+" && is_string(a) && is_string(b)) {
    jinja::string out = a->val_str;
    out.append(b->val_str);
    return make_text(std::move(out));
  }
  const bool same = jinja::is_val<jinja::value_tuple>(a) == jinja::is_val<jinja::value_tuple>(b);
  if (op == "+" && is_sequence(a) && is_sequence(b) && same) return concatenated(a, b);
  if (op == "*" && (is_string(a) || is_sequence(a)) && is_integral(b)) return repeated(a, b->val_int);
  if (op == "*" && (is_string(b) || is_sequence(b)) && is_integral(a)) return repeated(b, a->val_int);
  type_error(fmt::format("'{}' between {} and {}", op, a->type(), b->type()));
}

}  // namespace graft::python
