#include "graft/peft/adapter_options.h"

#include "graft/core/error.h"

namespace graft {

Choices AdapterOptions::method_names() {
#define GRAFT_NAME(name, ...) #name,
  return {GRAFT_METHODS(GRAFT_NAME)};
#undef GRAFT_NAME
}

void AdapterOptions::select_options() {
#define GRAFT_SELECT(name, Options, ...) \
  if (method == #name && !std::holds_alternative<Options>(options)) options = Options{};
  GRAFT_METHODS(GRAFT_SELECT)
#undef GRAFT_SELECT
}

std::unique_ptr<Method> make_method(const AdapterOptions& options) {
#define GRAFT_MAKE(name, Options, factory, ...) \
  if (options.method == #name) return factory(std::get<Options>(options.options));
  GRAFT_METHODS(GRAFT_MAKE)
#undef GRAFT_MAKE
  refuse("unknown method '{}'", options.method);
}

LearningRate learning_rate_of(std::string_view method) {
#define GRAFT_RATE(name, Options, factory, usual, low, high) \
  if (method == #name) return {usual, low, high};
  GRAFT_METHODS(GRAFT_RATE)
#undef GRAFT_RATE
  refuse("unknown method '{}'", method);
}

}  // namespace graft
