#include "graft/data/task.h"

#include <algorithm>
#include <array>

#include "graft/core/error.h"
#include "graft/core/table.h"

namespace graft {

namespace {

// By their number.
constexpr std::array<std::string_view, 4> kinds = {"causal_lm", "sequence_classification", "token_classification", "regression"};
constexpr std::array<std::string_view, 4> poolings = {"auto", "cls", "mean", "last"};

template <class E, class Names>
E named(std::string_view name, const Names& names, std::string_view what) {
  const auto at = std::ranges::find(names, name);
  require(at != names.end(), "no {} '{}'; there are: {}", what, name, fmt::join(names, ", "));
  return static_cast<E>(at - names.begin());
}

}  // namespace

TaskKind task_kind(std::string_view name) { return named<TaskKind>(name, kinds, "task"); }
std::string_view name_of(TaskKind kind) { return kinds[static_cast<size_t>(kind)]; }
Pooling pooling_named(std::string_view name) { return named<Pooling>(name, poolings, "pooling"); }
std::string_view name_of(Pooling pooling) { return poolings[static_cast<size_t>(pooling)]; }

Choices task_names() {
  Choices names{"auto"};
  names.insert(names.end(), kinds.begin(), kinds.end());
  return names;
}

Choices pooling_names() { return {poolings.begin(), poolings.end()}; }

}  // namespace graft
