#include "jinja_values.h"

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft::python {

void type_error(std::string_view message) { throw std::runtime_error(std::string(message)); }

value make_string(std::string_view text) { return jinja::mk_val<jinja::value_string>(std::string(text)); }
value make_text(jinja::string text) {
  auto out = jinja::mk_val<jinja::value_string>();
  out->val_str = std::move(text);
  return out;
}
value make_int(int64_t number) { return jinja::mk_val<jinja::value_int>(number); }
value make_bool(bool flag) { return jinja::mk_val<jinja::value_bool>(flag); }
value make_none() { return jinja::mk_val<jinja::value_none>(); }
value make_undefined(std::string_view name) { return jinja::mk_val<jinja::value_undefined>(std::string(name)); }
value make_array(std::vector<value> items) { return jinja::mk_val<jinja::value_array>(std::move(items)); }
value make_tuple(std::vector<value> items) { return jinja::mk_val<jinja::value_tuple>(std::move(items)); }

bool is_undefined(const value& v) { return v->is_undefined(); }
bool is_string(const value& v) { return jinja::is_val<jinja::value_string>(v); }
bool is_sequence(const value& v) { return jinja::is_val<jinja::value_array>(v); }
bool is_integral(const value& v) { return jinja::is_val<jinja::value_int>(v) || jinja::is_val<jinja::value_bool>(v); }
bool is_number(const value& v) { return is_integral(v) || jinja::is_val<jinja::value_float>(v); }
bool is_object(const value& v) { return jinja::is_val<jinja::value_object>(v); }

jinja::string part_of(const jinja::string& text, size_t begin, size_t end) {
  jinja::string out;
  size_t at = 0;
  for (const auto& part : text.parts) {
    const size_t from = std::max(begin, at), to = std::min(end, at + part.val.size());
    if (from < to) {
      jinja::spend(64 + to - from);
      out.parts.push_back({part.is_input, part.val.substr(from - at, to - from), part.origin});
    }
    at += part.val.size();
  }
  return out;
}

void append(jinja::string& text, std::string_view literal) {
  jinja::spend(literal.size());
  if (text.parts.empty() || text.parts.back().origin != 0) text.parts.push_back({false, "", 0}), jinja::spend(64);
  text.parts.back().val += literal;
}

std::vector<size_t> code_points(std::string_view text) {
  jinja::spend(8 * text.size());
  std::vector<size_t> begins;
  for (size_t at = 0; at < text.size(); next_code_point(text, at)) begins.push_back(at);
  begins.push_back(text.size());
  return begins;
}

Call::Call(const char* name, value self, const std::vector<value>& arguments, jinja::context& context)
    : name_(name), self_(std::move(self)), context_(context) {
  for (const value& argument : arguments) {
    if (const auto* named = jinja::cast_val<jinja::value_kwarg>(argument))
      named_.emplace_back(named->key, named->val);
    else
      positional_.push_back(argument);
  }
}

value Call::get(size_t position, const char* name) const {
  if (position < positional_.size()) return positional_[position];
  for (const auto& [key, v] : named_)
    if (key == name) return v;
  return nullptr;
}

value Call::need(size_t position, const char* name) const {
  value v = get(position, name);
  if (!v) type_error(fmt::format("{}() needs '{}'", name_, name));
  return v;
}

std::string Call::text(size_t position, const char* name) const {
  const value v = need(position, name);
  if (!is_string(v)) type_error(fmt::format("{}() needs a string for '{}', got {}", name_, name, v->type()));
  return v->val_str.str();
}

int64_t Call::integer(size_t position, const char* name, int64_t otherwise) const {
  const value v = get(position, name);
  if (!v) return otherwise;
  if (!is_integral(v)) type_error(fmt::format("{}() needs an integer for '{}', got {}", name_, name, v->type()));
  return v->val_int;
}

bool Call::flag(size_t position, const char* name) const {
  const value v = get(position, name);
  return v && truth(v);
}

value bound(const char* name, Function function, value self) {
  const auto handler = [name, function](const jinja::func_args& args) {
    std::vector<value> rest(args.get_args().begin() + 1, args.get_args().end());
    return function(Call(name, args.get_args().front(), rest, args.ctx));
  };
  return jinja::mk_val<jinja::value_func>(name, handler, self ? self : make_none());
}

}  // namespace graft::python
