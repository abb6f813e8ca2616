#include <algorithm>

#include "graft/config/yaml.h"
#include "reader.h"

namespace graft::detail {

constexpr size_t most_unknown = 50;  // reported one by one

void read_section(const ConfigTree& tree, SectionRef out, ErrorList& errors) {
  Reading reading{errors, {}, {}};
  for (const auto& fault : tree.faults) errors.add("{}", fault);
  read_value(reading, {}, tree.root, "", out);
  if (reading.unknown.empty() && reading.misread.empty()) return;
  const auto paths = field_paths(shape_of(out));  // after reading, so with the fields that the values chose
  for (const auto& misread : reading.misread) errors.add("{}", explain(misread, paths));
  const size_t shown = std::min(reading.unknown.size(), most_unknown);
  for (size_t i = 0; i < shown; ++i) errors.add("{}", explain(reading.unknown[i], paths));
  if (shown < reading.unknown.size()) errors.add("{}: and {} more unknown keys", tree.name, reading.unknown.size() - shown);
}

void raise_config_errors(const ConfigTree& tree, const ErrorList& errors) {
  const size_t count = errors.errors().size();
  errors.raise(
      fmt::format("{}: {} in this job:", tree.name, count == 1 ? std::string("1 fault") : fmt::format("{} faults", count)));
}

}  // namespace graft::detail
