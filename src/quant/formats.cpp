#include <vector>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "graft/quant/format.h"

namespace graft {
namespace {

#define GRAFT_ADDRESS(name) &name##_format,
const Format* const table[] = {GRAFT_FORMATS(GRAFT_ADDRESS)};
#undef GRAFT_ADDRESS

}  // namespace

std::span<const Format* const> formats() { return table; }

const Format& format_of(std::string_view name) {
  std::vector<std::string> names;
  for (const Format* format : table) {
    if (format->name == name) return *format;
    names.emplace_back(format->name);
  }
  refuse("no format '{}'{}; there are: none, {}", name, did_you_mean(name, names), join(names));
}

Choices format_names() {
  Choices names{"none"};
  for (const Format* format : table) names.push_back(format->name);
  return names;
}

}  // namespace graft
