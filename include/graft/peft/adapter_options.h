#pragma once
// The `adapter:` section. Which method's fields it has is decided by `method`: the table of methods is the only place that lists them.
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graft/config/visit.h"
#include "graft/peft/lora.h"
#include "graft/peft/target_patterns.h"

namespace graft {

// The growth table: a method is one file and one line here. X(name, options, factory, learning rate: usual, low, high)
#define GRAFT_METHODS(X) X(lora, LoraOptions, make_lora, 2e-4, 1e-6, 5e-3)

#define GRAFT_OPTIONS_OF(name, Options, ...) , Options
using MethodOptions = std::variant<std::monostate GRAFT_METHODS(GRAFT_OPTIONS_OF)>;
#undef GRAFT_OPTIONS_OF

struct AdapterOptions {
  std::string method = "lora";
  NamesOrPattern target_modules = "all-linear";
  NamesOrPattern exclude_modules = std::vector<std::string>{};
  std::vector<int> layers_to_transform;
  std::string init_from;
  MethodOptions options = LoraOptions{};

  void visit(auto& v) {
    v("method", method, "how to adapt", method_names());
    v("target_modules", target_modules, "which modules: names (PEFT's rule: the end of the path), one regex, or all-linear");
    v("exclude_modules", exclude_modules, "which of them not");
    v("layers_to_transform", layers_to_transform, "only these layers");
    v("init_from", init_from, "start from this adapter (a PEFT folder) instead of fresh values");
    select_options();
#define GRAFT_VISIT(name, Options, ...) \
  if (auto* chosen = std::get_if<Options>(&options)) chosen->visit(v);
    GRAFT_METHODS(GRAFT_VISIT)
#undef GRAFT_VISIT
  }

  static Choices method_names();
  /// Makes `options` those of `method`, if they are not.
  void select_options();
};

std::unique_ptr<Method> make_method(const AdapterOptions& options);
LearningRate learning_rate_of(std::string_view method);

}  // namespace graft
