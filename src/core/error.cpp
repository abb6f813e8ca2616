#include "graft/core/error.h"

namespace graft {

void ErrorList::raise(std::string_view title) const {
  if (errors_.empty()) return;
  std::string text(title);
  for (const auto& error : errors_) text += "\n  " + error;
  throw RequestError(text);
}

}  // namespace graft
