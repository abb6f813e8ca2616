#pragma once
// The learning rate as a function of the step: warm-up, then constant, linear, cosine (Loshchilov & Hutter 2017) or WSD (warm-up, stable,
// decay: Hu et al. 2024, "MiniCPM").
#include <cstdint>
#include <string>

namespace graft {

struct Schedule {
  std::string kind = "linear";       // constant | linear | cosine | wsd
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double decay_share = 0.1;          // wsd: the last share of the steps decays
  double min_share = 0;              // the rate at the end, as a share of the peak

  /// The factor on the peak rate at optimizer step `step` (0-based): non-negative, 1 at the peak, non-increasing after the warm-up.
  double at(int64_t step) const;
};

}  // namespace graft
