#include "graft/core/hash.h"

#include <fmt/format.h>

namespace graft {

std::string Hash::hex() const { return fmt::format("{:016x}", value()); }

}  // namespace graft
