#include "graft/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace graft {

double Schedule::at(int64_t step) const {
  if (step < warmup_steps) return static_cast<double>(step) / static_cast<double>(warmup_steps);
  const auto share_of = [](int64_t done, int64_t of) { return of <= 0 ? 0.0 : std::clamp(static_cast<double>(done) / static_cast<double>(of), 0.0, 1.0); };
  const auto lifted = [&](double factor) { return min_share + (1 - min_share) * factor; };
  if (kind == "linear") return lifted(1 - share_of(step - warmup_steps, total_steps - warmup_steps));
  if (kind == "cosine") return lifted(0.5 * (1 + std::cos(std::numbers::pi * share_of(step - warmup_steps, total_steps - warmup_steps))));
  if (kind == "wsd") {
    const auto decay = static_cast<int64_t>(std::ceil(decay_share * static_cast<double>(total_steps)));
    return lifted(1 - share_of(step - std::max(warmup_steps, total_steps - decay), std::min(decay, total_steps - warmup_steps)));
  }
  return 1;
}

}  // namespace graft
