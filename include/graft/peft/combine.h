#pragma once
// LoRA adapters added up and compressed, from their folders alone. At each module the sum of weight * s * B A over the adapters is again one
// low-rank update: exactly, with their ranks added up, or its best approximation of a lower rank (Eckart & Young 1936), which is what PEFT's
// add_weighted_adapter calls `cat` and `svd`.
#include <filesystem>
#include <optional>
#include <vector>

#include "graft/core/log.h"

namespace graft {

struct WeightedAdapter {
  std::filesystem::path folder;   // of a plain LoRA, as PEFT or graft write it
  double weight = 1;
};

struct Combination {
  int64_t modules = 0, rank = 0;
  double relative_error = 0;      // Frobenius norm of what the lower rank leaves out, over that of the exact sum
};

/// Writes the sum as a PEFT folder with alpha = rank; a single adapter is only compressed. `rank`: at most so much; none: the exact sum.
/// RequestErrors: an adapter that holds more than LoRA factors (named), shapes that do not agree.
Combination combine_adapters(const std::vector<WeightedAdapter>& adapters, std::optional<int64_t> rank, const std::filesystem::path& out, const Log& log = {});

}  // namespace graft
