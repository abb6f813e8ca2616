#include "graft/quant/error_report.h"

#include <ATen/ATen.h>

#include <cmath>

namespace graft {

void QuantizationError::add(const QuantizationError& other) {
  count += other.count, bytes += other.bytes;
  squared_value += other.squared_value, squared_error += other.squared_error, squared_clipping += other.squared_clipping;
  largest = std::max(largest, other.largest);
}
double QuantizationError::bits() const { return count ? 8.0 * static_cast<double>(bytes) / static_cast<double>(count) : 0; }
double QuantizationError::mean_squared_error() const { return count ? squared_error / static_cast<double>(count) : 0; }
double QuantizationError::signal_to_noise() const { return squared_error > 0 ? 10 * std::log10(squared_value / squared_error) : INFINITY; }
double QuantizationError::clipping_share() const { return squared_error > 0 ? squared_clipping / squared_error : 0; }

QuantizationError measure(const Tensor& x, const Scheme& scheme, std::string_view name) {
  at::NoGradGuard no_grad;
  const QuantizedTensor q = quantize(x, scheme, name);
  const Tensor exact = x.to(at::kDouble).flatten();
  const Tensor error = (exact - dequantize(q, at::kFloat).to(at::kDouble).flatten()).square();
  QuantizationError sums{.count = q.count(), .bytes = q.bytes()};
  if (sums.count == 0) return sums;
  sums.squared_value = exact.square().sum().item<double>();
  sums.squared_error = error.sum().item<double>();
  sums.largest = std::sqrt(error.max().item<double>());
  if (scheme.clip != Scheme::Clip::none) {
    const Ranges ranges = group_ranges(x, scheme);
    const auto by_number = [&](const Tensor& groups) { return groups.repeat_interleave(q.group()).slice(0, 0, sums.count); };
    sums.squared_clipping = error.masked_select((exact < by_number(ranges.low)).logical_or(exact > by_number(ranges.high))).sum().item<double>();
  }
  return sums;
}

Histogram normalized_histogram(const Tensor& x, int64_t group) {
  const Tensor flat = x.to(at::kFloat).flatten().cpu();
  const int64_t whole = flat.numel() / group * group;   // a short last group would weigh its few numbers too much
  Histogram bins{};
  if (whole == 0) return bins;
  const Tensor groups = flat.slice(0, 0, whole).view({-1, group});
  const Tensor counts = at::histc((groups / groups.abs().amax({1}, true).clamp_min(1e-30)).flatten(), 64, -1, 1);
  for (int64_t i = 0; i < 64; ++i) bins[static_cast<size_t>(i)] = counts[i].item<double>();
  return bins;
}

}  // namespace graft
