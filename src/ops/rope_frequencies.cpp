// What angle a position adds: the rules by which contexts were made longer, as transformers' modeling_rope_utils has them.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "graft/ops/rope.h"

namespace graft {
namespace {

int64_t rotated(const RopeSpec& spec, int64_t head_dim) {
  return static_cast<int64_t>(static_cast<double>(head_dim) * spec.rotated_share);
}

/// Llama 3.1's rule: long waves are slowed by `factor`, short ones kept, those between are blended.
double llama3_frequency(const RopeSpec& spec, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency, original = static_cast<double>(spec.original_max_position);
  if (wavelength > original / spec.low_freq_factor) return frequency / spec.factor;
  if (wavelength < original / spec.high_freq_factor) return frequency;
  const double smooth = (original / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  return (1 - smooth) * frequency / spec.factor + smooth * frequency;
}

/// YaRN, section 3.2: columns that turn often keep their frequency, those that turn seldom are slowed, and a ramp of columns lies
/// between.
double yarn_frequency(const RopeSpec& spec, double frequency, int64_t column, double width) {
  const auto column_of = [&](double turns) {
    return width * std::log(static_cast<double>(spec.original_max_position) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(spec.theta));
  };
  double low = column_of(spec.beta_fast), high = column_of(spec.beta_slow);
  if (spec.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, width - 1);
  if (low == high) high += 0.001;
  const double slowed = std::clamp((static_cast<double>(column) - low) / (high - low), 0.0, 1.0);
  return frequency / spec.factor * slowed + frequency * (1 - slowed);
}

Tensor frequencies_of(const RopeSpec& spec, int64_t head_dim, const std::vector<double>& factors) {
  const int64_t width = rotated(spec, head_dim);
  Tensor frequencies = at::empty({width / 2}, at::kFloat);
  for (int64_t i = 0; i < width / 2; ++i) {
    double frequency = 1.0 / std::pow(spec.theta, 2.0 * static_cast<double>(i) / static_cast<double>(width));
    if (spec.type == "linear") frequency /= spec.factor;
    if (spec.type == "llama3") frequency = llama3_frequency(spec, frequency);
    if (spec.type == "yarn") frequency = yarn_frequency(spec, frequency, i, static_cast<double>(width));
    if (spec.type == "longrope") frequency /= factors.at(static_cast<size_t>(i));
    frequencies.mutable_data_ptr<float>()[i] = static_cast<float>(frequency);
  }
  return frequencies;
}

}  // namespace

Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim) { return frequencies_of(spec, head_dim, spec.short_factor); }

bool depends_on_length(const RopeSpec& spec) { return spec.type == "dynamic" || spec.type == "longrope"; }

bool same_frequencies(const RopeSpec& spec, int64_t from, int64_t to) {
  if (spec.type == "dynamic") return to <= spec.max_position;
  return spec.type != "longrope" || from > spec.original_max_position || to <= spec.original_max_position;
}

Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim, const Tensor& lengths) {
  if (spec.type == "longrope") {
    const Tensor near = frequencies_of(spec, head_dim, spec.short_factor).to(lengths.device());
    const Tensor far = frequencies_of(spec, head_dim, spec.long_factor).to(lengths.device());
    return at::where(lengths.gt(spec.original_max_position).unsqueeze(-1), far, near);
  }
  const double width = static_cast<double>(rotated(spec, head_dim)), most = static_cast<double>(spec.max_position);
  const Tensor length = lengths.clamp_min(spec.max_position).to(at::kDouble);
  const Tensor base = at::pow(length * (spec.factor / most) - (spec.factor - 1), width / (width - 2)) * spec.theta;
  const Tensor exponents = at::arange(0, width, 2, length.options()) / -width;
  return at::pow(base.unsqueeze(-1), exponents).to(at::kFloat);
}

}  // namespace graft
