#pragma once
// What the engine calls while a host is installed: limits, and Python's meaning of operators, filters, methods and tests.
#include "jinja_values.h"

namespace graft::python {

/// Installed for the current thread while it lives.
class Host final : public jinja::host {
 public:
  Host(size_t work, int depth);
  ~Host() override;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  value global(const std::string& name) override;
  value binary(const jinja::binary_expression& e, jinja::context& ctx) override;
  value unary(const jinja::unary_expression& e, jinja::context& ctx) override;
  value member(const jinja::member_expression& e, jinja::context& ctx) override;
  value test(const jinja::test_expression& e, jinja::context& ctx) override;
  value filter(jinja::context& ctx, const jinja::statement& filter, const value& input) override;
  value printed(const value& v) override { return make_text(str(v)); }
  value iterable(const value& v) override { return make_array(items_of(v)); }
  bool truth(const value& v) override { return python::truth(v); }
  void check_stored(const value& v, const value& in) override;

 private:
  jinja::host* previous_;
};

}  // namespace graft::python
