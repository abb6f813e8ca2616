#include "jinja_host.h"

#include <set>

#include "graft/core/error.h"

namespace graft::python {
namespace {

constexpr int value_depth_limit = 150;

/// What is kept may not be deep, hold itself or hold a block of the template: such values could not be freed or shown.
class StoredValue {
 public:
  explicit StoredValue(const value& holder) : holder_(holder.get()) {}
  void check(const value& v, int depth) {
    jinja::spend(32);
    if (depth > value_depth_limit) type_error("a value is nested too deeply");
    if (v.get() == holder_) type_error("a value may not hold itself");
    if (const auto* function = jinja::cast_val<jinja::value_func>(v)) {
      if (function->name == "caller") type_error("a call block cannot be stored");
      if (function->arg0) check(function->arg0, depth + 1);
    }
    if (const auto* named = jinja::cast_val<jinja::value_kwarg>(v)) check(named->val, depth + 1);
    if ((v->val_arr.empty() && v->val_obj.empty()) || !seen_.insert({v.get(), depth}).second) return;
    for (const value& item : v->val_arr) check(item, depth + 1);
    for (const auto& [key, item] : v->val_obj) check(item, depth + 1);
  }

 private:
  const jinja::value_t* holder_;
  std::set<std::pair<const jinja::value_t*, int>> seen_;
};

std::vector<value> run_arguments(const jinja::statements& arguments, jinja::context& ctx) {
  std::vector<value> out;
  for (const auto& argument : arguments) out.push_back(argument->execute(ctx));
  return out;
}

struct NameAndArguments {
  std::string name;
  std::vector<value> arguments;
};

/// `name` or `name(arguments)` behind `|` or `is`.
NameAndArguments named_call(const jinja::statement& s, jinja::context& ctx) {
  if (const auto* id = dynamic_cast<const jinja::identifier*>(&s)) return {id->val, {}};
  const auto* call = dynamic_cast<const jinja::call_expression*>(&s);
  const auto* callee = call ? dynamic_cast<const jinja::identifier*>(call->callee.get()) : nullptr;
  if (!callee) type_error("expected a name after '|' or 'is'");
  return {callee->val, run_arguments(call->args, ctx)};
}

}  // namespace

Host::Host(size_t work, int depth) : previous_(jinja::current_host) {
  work_left = work;
  depth_left = depth;
  jinja::current_host = this;
}
Host::~Host() { jinja::current_host = previous_; }

value Host::global(const std::string& name) {
  const Function function = find_global(name);
  return function ? bound("function", function, nullptr) : nullptr;
}

value Host::binary(const jinja::binary_expression& e, jinja::context& ctx) {
  const std::string& op = e.op.value;
  const value left = e.left->execute(ctx);
  if (op == "and" || op == "or") return python::truth(left) == (op == "and") ? e.right->execute(ctx) : left;
  const value right = e.right->execute(ctx);
  if (op == "==") return make_bool(equal(left, right));
  if (op == "!=") return make_bool(!equal(left, right));
  if (op == "in") return make_bool(contains(right, left));
  if (op == "not in") return make_bool(!contains(right, left));
  if (op == "<") return make_bool(less(left, right));
  if (op == ">") return make_bool(less(right, left));
  if (op == "<=") return make_bool(less(left, right) || equal(left, right));
  if (op == ">=") return make_bool(less(right, left) || equal(left, right));
  if (op != "~") return arithmetic(op, left, right);
  jinja::string out = str(left);
  out.append(str(right));
  return make_text(std::move(out));
}

value Host::unary(const jinja::unary_expression& e, jinja::context& ctx) {
  const value v = e.argument->execute(ctx);
  if (e.op.value == "not") return make_bool(!python::truth(v));
  if (e.op.value == "-") return arithmetic("-", make_int(0), v);
  return arithmetic("+", make_int(0), v);
}

value Host::member(const jinja::member_expression& e, jinja::context& ctx) {
  const value object = e.object->execute(ctx);
  if (const auto* slice = dynamic_cast<const jinja::slice_expression*>(e.property.get())) {
    const auto bound = [&](const jinja::statement_ptr& part) { return part ? part->execute(ctx) : nullptr; };
    const value start = bound(slice->start_expr), stop = bound(slice->stop_expr);
    return get_slice(object, start, stop, bound(slice->step_expr));
  }
  if (e.computed) return get_item(object, e.property->execute(ctx));
  if (const auto* name = dynamic_cast<const jinja::identifier*>(e.property.get())) return get_attribute(object, name->val);
  if (dynamic_cast<const jinja::integer_literal*>(e.property.get())) return get_item(object, e.property->execute(ctx));
  type_error("expected a name after '.'");
}

value Host::test(const jinja::test_expression& e, jinja::context& ctx) {
  const value input = e.operand->execute(ctx);
  const NameAndArguments call = named_call(*e.test, ctx);
  const Function function = find_test(call.name);
  if (!function) type_error(fmt::format("unknown test '{}'", call.name));
  return make_bool(python::truth(function(Call(call.name.c_str(), input, call.arguments, ctx))) != e.negate);
}

value Host::filter(jinja::context& ctx, const jinja::statement& filter, const value& input) {
  const NameAndArguments call = named_call(filter, ctx);
  const Function function = find_filter(call.name);
  if (!function) type_error(fmt::format("unknown filter '{}'", call.name));
  return function(Call(call.name.c_str(), input, call.arguments, ctx));
}

void Host::check_stored(const value& v, const value& in) {
  const auto* holder = in ? jinja::cast_val<jinja::value_object>(in) : nullptr;
  if (holder && holder->has_builtins) type_error("only a namespace's attributes can be assigned");
  StoredValue(in).check(v, 0);
}

}  // namespace graft::python
