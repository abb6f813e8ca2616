#include "graft/core/table.h"
#include "graft/models/family.h"

namespace graft {

std::span<const Family* const> families() {
#define GRAFT_ROW(name) &name##_family,
  static constexpr const Family* rows[] = {GRAFT_FAMILIES(GRAFT_ROW)};
#undef GRAFT_ROW
  return rows;
}

const Family& family_of(const Json& config) {
  require(config.is_object() && config.contains("model_type") && config["model_type"].is_string(),
          "config.json has no model_type: is it a transformers model?");
  return find_row(families(), config["model_type"].get<std::string>(), "model_type");
}

}  // namespace graft
