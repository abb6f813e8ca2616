#pragma once
// The `adapter:` section. Which method's fields it has is decided by `method`: the table of methods is the only place that lists them.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graft/config/visit.h"
#include "graft/peft/bottleneck.h"
#include "graft/peft/dora.h"
#include "graft/peft/ia3.h"
#include "graft/peft/lora.h"
#include "graft/peft/loftq.h"
#include "graft/peft/pissa.h"
#include "graft/peft/prefix.h"
#include "graft/peft/prompt.h"
#include "graft/peft/replace.h"
#include "graft/peft/target_patterns.h"
#include "graft/peft/vera.h"

namespace graft {

// The growth table: a method is one file and one line here. X(name, options)
#define GRAFT_METHODS(X)                                                                                                            \
  X(lora, LoraOptions) X(dora, DoraOptions) X(pissa, PissaOptions) X(loftq, LoftqOptions) X(vera, VeraOptions) X(ia3, Ia3Options)   \
  X(houlsby, HoulsbyOptions) X(pfeiffer, PfeifferOptions) X(parallel, ParallelOptions)                                              \
  X(prompt_tuning, PromptTuningOptions) X(p_tuning, PTuningOptions) X(prefix_tuning, PrefixTuningOptions) X(p_tuning_v2, DeepPromptOptions) \
  X(full, FullOptions) X(head, HeadOptions)

#define GRAFT_OPTIONS_OF(name, Options) , Options
using MethodOptions = std::variant<std::monostate GRAFT_METHODS(GRAFT_OPTIONS_OF)>;
#undef GRAFT_OPTIONS_OF

struct AdapterOptions {
  std::string method = "lora";
  NamesOrPattern target_modules = "auto";
  NamesOrPattern exclude_modules = std::vector<std::string>{};
  std::vector<int> layers_to_transform;
  std::vector<std::string> modules_to_save;
  std::vector<int> trainable_token_indices;
  std::string init_from;
  MethodOptions options = LoraOptions{};

  void visit(auto& v) {
    v("method", method, "how to adapt", method_names());
    v("target_modules", target_modules, "which modules: auto (the method's own), names (PEFT's rule: the end of the path), one regex, or all-linear");
    v("exclude_modules", exclude_modules, "which of them not");
    v("layers_to_transform", layers_to_transform, "only these layers");
    v("modules_to_save", modules_to_save, "modules of the base that are trained whole beside it: names; a classifier's head always is");
    v("trainable_token_indices", trainable_token_indices, "tokens whose vectors are trained beside it, in the embedding and in a head of its own; model.new_tokens always are");
    v("init_from", init_from, "start from this adapter (a PEFT or AdapterHub folder) instead of fresh values");
    select_options();
#define GRAFT_VISIT(name, Options) \
  if (auto* chosen = std::get_if<Options>(&options)) chosen->visit(v);
    GRAFT_METHODS(GRAFT_VISIT)
#undef GRAFT_VISIT
  }

  static Choices method_names();
  /// Makes `options` those of `method`, if they are not.
  void select_options();
};

/// A row of the table.
struct MethodRow {
  std::string_view name;
  std::string_view summary;
  LearningRate rate;
  std::unique_ptr<Method> (*make)(const MethodOptions& options);
  bool (*reads)(const Json& peft_config);                     // null: PEFT has no such method
  MethodOptions (*options_from)(PeftFields& fields);
};
#define GRAFT_DECLARE_METHOD(name, Options) extern const MethodRow name##_method;
GRAFT_METHODS(GRAFT_DECLARE_METHOD)
#undef GRAFT_DECLARE_METHOD

std::span<const MethodRow* const> methods();
const MethodRow& method_row(std::string_view name);
std::unique_ptr<Method> make_method(const AdapterOptions& options);

template <class M, class Options>
std::unique_ptr<Method> make_method_of(const MethodOptions& options) {
  return std::make_unique<M>(std::get<Options>(options));
}

}  // namespace graft
