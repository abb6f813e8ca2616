#pragma once
// DoRA (Liu et al. 2024, "DoRA: weight-decomposed low-rank adaptation", section 4): W' = m * (W + s B A) / ||W + s B A||, with a norm for
// each row (output) and a trained magnitude m that starts as ||W||; the norm takes no gradient (section 4.3). With dropout, as PEFT:
// W x + (m / norm - 1) * W d(x) + (m / norm) * s B A d(x).
#include "graft/peft/lora.h"

namespace graft {

struct DoraOptions : LowRankOptions {};

class DoraAdapter : public LoraAdapter {
 public:
  DoraAdapter(const Site& site, int64_t rank, double scale, double dropout);
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override;
  std::optional<Tensor> forward_parts(const Tensor&, const std::vector<Adapter*>&, const Frozen&, const Batch&) override { return std::nullopt; }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override;
  std::optional<LowRank> low_rank() const override { return std::nullopt; }
  std::optional<LowRank> trained_factors() const override;   // dropout aside: it divides the product with the base in two
  /// ||W + s B A|| of each row: fp64 [out].
  Tensor norm() const;
  Tensor magnitude() const { return magnitude_; }

 private:
  const Tensor& base_squares() const;
  Tensor gain(const Tensor& narrow_a) const;   // magnitude / norm in the type of narrow_a, which is A in the type it computes in
  const Weight* weight_;   // the site's, which outlives its adapters
  Tensor magnitude_;       // fp32 [out]
  mutable Tensor base_squares_;   // sums of W's squares by row, made when first needed
};

}  // namespace graft
