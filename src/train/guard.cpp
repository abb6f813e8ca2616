#include "graft/train/guard.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"

namespace graft {
namespace {

constexpr int64_t few = 20;  // norms that say nothing yet of what is usual
constexpr double newest =
    0.05;  // share of the newest norm in the mean: a run's beginning, where norms fall, must be forgotten soon
constexpr double least_spread = 0.05;  // of the mean: a norm that hardly moves makes no spike of a ripple
constexpr size_t named = 8;            // samples in a message; metrics.jsonl has them all

}  // namespace

double NormWatch::add(double norm) {
  const double spread = std::max(std::sqrt(variance), least_spread * mean);
  const double z = seen < few || spread == 0 ? 0 : (norm - mean) / spread;
  // A spike counts as its threshold: one must not hide the next, and a lasting change is soon the usual.
  const double change = (z > spike_z ? mean + spike_z * spread : norm) - mean;
  const double share = std::max(newest, 1 / static_cast<double>(++seen));
  mean += share * change;
  variance = (1 - share) * (variance + share * change * change);
  return z;
}

void judge_step(NormWatch& norms, std::span<const int64_t> samples, const Dataset& data, StepReport& report) {
  if (!report.skipped) report.gradient_z = norms.add(report.gradient_norm);
  if (!report.skipped && report.gradient_z <= spike_z) return;
  for (const int64_t sample : samples) report.samples.push_back(data.origin(sample));
}

void name_spike(const StepReport& report, const Log& log) {
  if (report.gradient_z > spike_z)
    log.warn(
        "step {}: a spike, the gradient's norm {:.3g} lies {:.1f} standard deviations above the usual; loss {:.4g}; samples: {}",
        report.step, report.gradient_norm, report.gradient_z, report.loss, origins_text(report.samples, named));
  else if (!std::isfinite(report.loss))
    log.warn("step {}: the loss is {}, the step is skipped; samples: {}", report.step, report.loss,
             origins_text(report.samples, named));
}

std::string origins_text(const std::vector<std::string>& origins, size_t most) {
  std::string text, file;
  for (size_t i = 0; i < std::min(origins.size(), most); ++i) {
    const size_t colon = std::min(origins[i].rfind(':'), origins[i].size());
    const bool same = i > 0 && origins[i].substr(0, colon) == file;
    file = origins[i].substr(0, colon);
    text += (i ? ", " : "") + (same ? origins[i].substr(colon + 1) : origins[i]);
  }
  return origins.size() > most ? fmt::format("{} and {} more", text, origins.size() - most) : text;
}

void check_finite(const TensorMap& values, std::string_view whose, int64_t step, std::string_view last_good) {
  std::vector<Tensor> finite;
  for (const auto& [name, tensor] : values) finite.push_back(at::isfinite(tensor).all());
  if (finite.empty() || at::stack(finite).all().item<bool>()) return;  // one wait for a GPU, not one a tensor
  auto fault = values.begin();
  for (const Tensor& good : finite) {
    if (!good.item<bool>()) break;
    ++fault;
  }
  fail("step {}: {} {} holds values that are not finite, so no checkpoint is written of it; last good checkpoint: {}", step,
       whose, fault->first, last_good);
}

}  // namespace graft
