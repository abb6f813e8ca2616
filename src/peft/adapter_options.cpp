#include "graft/peft/adapter_options.h"

#include "graft/core/table.h"

namespace graft {

std::span<const MethodRow* const> methods() {
#define GRAFT_ROW(name, Options) &name##_method,
  static constexpr const MethodRow* rows[] = {GRAFT_METHODS(GRAFT_ROW)};
#undef GRAFT_ROW
  return rows;
}

const MethodRow& method_row(std::string_view name) { return find_row(methods(), name, "adapter.method"); }
std::unique_ptr<Method> make_method(const AdapterOptions& options) { return method_row(options.method).make(options.options); }

Choices AdapterOptions::method_names() {
  Choices names;
  for (const MethodRow* row : methods()) names.push_back(row->name);
  return names;
}

void AdapterOptions::select_options() {
#define GRAFT_SELECT(name, Options) \
  if (method == #name && !std::holds_alternative<Options>(options)) options = Options{};
  GRAFT_METHODS(GRAFT_SELECT)
#undef GRAFT_SELECT
}

}  // namespace graft
