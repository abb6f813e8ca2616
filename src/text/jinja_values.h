#pragma once
// Values of llama.cpp's Jinja engine with Python's meaning, as transformers' templates expect it. Only the jinja_*.cpp files see
// the engine's headers: it is an internal interface of its project. What a string was made of keeps its origin through every
// operation.
#include <jinja/runtime.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/unicode.h"

namespace graft::python {

using jinja::value;

[[noreturn]] void type_error(std::string_view message);

value make_string(std::string_view text);
value make_text(jinja::string text);
value make_int(int64_t number);
value make_bool(bool flag);
value make_none();
value make_undefined(std::string_view name = "");
value make_array(std::vector<value> items);
value make_tuple(std::vector<value> items);

bool is_undefined(const value& v);
bool is_string(const value& v);
bool is_sequence(const value& v);  // list or tuple
bool is_integral(const value& v);  // int or bool
bool is_number(const value& v);    // int, bool or float
bool is_object(const value& v);

// --- Strings in parts --------------------------------------------------------------------------------------------------------
/// The bytes [begin, end), each with its origin.
jinja::string part_of(const jinja::string& text, size_t begin, size_t end);
void append(jinja::string& text, std::string_view literal);
/// `change` applied to each part: what keeps its place keeps its origin.
template <class Change>
jinja::string each_part(const jinja::string& text, Change change) {
  jinja::string out;
  for (const auto& part : text.parts) {
    out.parts.push_back(part);
    out.parts.back().val = change(part.val);
    jinja::spend(out.parts.back().val.size());
  }
  return out;
}
template <class AppendOne>
std::string each_code_point(std::string_view text, AppendOne append_one) {
  std::string out;
  for (size_t at = 0; at < text.size();) append_one(out, next_code_point(text, at));
  return out;
}
/// Where each code point begins, and the end of the text.
std::vector<size_t> code_points(std::string_view text);

// --- What values look like ---------------------------------------------------------------------------------------------------
jinja::string str(const value& v);   // str(v)
jinja::string repr(const value& v);  // repr(v)
std::string float_repr(double number);

struct JsonStyle {
  std::string indent;      // of one level
  bool multiline = false;  // an indent was asked for
  std::string item_separator = ", ", key_separator = ": ";
  bool ensure_ascii = false, sort_keys = false;
};
jinja::string to_json(const value& v, const JsonStyle& style);

// --- Operators ---------------------------------------------------------------------------------------------------------------
bool truth(const value& v);
bool equal(const value& a, const value& b);
bool less(const value& a, const value& b);
bool contains(const value& container, const value& item);
/// What iterating yields: the items of a list, the keys of a dict, the characters of a string.
std::vector<value> items_of(const value& v);
size_t length_of(const value& v);
value arithmetic(const std::string& op, const value& a, const value& b);
value repeated(const value& sequence, int64_t times);

/// v[key], then v.key; or the other way round. Undefined where there is neither.
value get_item(const value& v, const value& key);
value get_attribute(const value& v, const std::string& name);
value get_slice(const value& v, const value& start, const value& stop, const value& step);

// --- Calls -------------------------------------------------------------------------------------------------------------------
/// Arguments by position or name.
class Call {
 public:
  Call(const char* name, value self, const std::vector<value>& arguments, jinja::context& context);
  const value& self() const { return self_; }
  /// Null if not given. Position 0 is the first after self.
  value get(size_t position, const char* name) const;
  value need(size_t position, const char* name) const;
  std::string text(size_t position, const char* name) const;  // must be a string
  int64_t integer(size_t position, const char* name, int64_t otherwise) const;
  bool flag(size_t position, const char* name) const;
  const std::vector<value>& positional() const { return positional_; }
  const std::vector<std::pair<std::string, value>>& named() const { return named_; }
  jinja::context& context() const { return context_; }
  const char* name() const { return name_; }

 private:
  const char* name_;
  value self_;
  std::vector<value> positional_;
  std::vector<std::pair<std::string, value>> named_;
  jinja::context& context_;
};

using Function = value (*)(const Call&);
struct Row {
  const char* name;
  Function function;
};

/// Null where there is none of that name.
Function find_method(const value& v, std::string_view name);
Function find_filter(std::string_view name);
Function find_test(std::string_view name);
Function find_global(std::string_view name);
value bound(const char* name, Function function, value self);

// Strings' functions that serve as methods and as filters.
bool is_space(char32_t c);
value upper(const Call&);
value lower(const Call&);
value title(const Call&);
value capitalize(const Call&);
value strip(const Call&);
value replace(const Call&);
value split(const Call&);
value right_split(const Call&);
value split_lines(const Call&);
value count_parts(const Call&);
value join_strings(const Call&);
value format(const Call&);

}  // namespace graft::python
