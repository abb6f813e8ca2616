// From numbers to codes: the range of each group, its constants, its codes.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"
#include "graft/ops/launch.h"
#include "graft/quant/quantized_tensor.h"

namespace graft {
namespace {

/// f on the whole groups [groups, size] and on the short last one, joined.
template <class F>
Tensor by_groups(const Tensor& flat, int64_t size, F&& f) {
  const int64_t whole = flat.numel() / size;
  std::vector<Tensor> parts;
  if (whole > 0) parts.push_back(f(flat.narrow(0, 0, whole * size).view({whole, size})));
  if (whole * size < flat.numel()) parts.push_back(f(flat.narrow(0, whole * size, flat.numel() - whole * size).unsqueeze(0)));
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// Sums the last dimension in one fixed order: halves are added until one is left, so every device gives the same bits.
Tensor ordered_sum(Tensor x) {
  int64_t width = 1;
  while (width < x.size(-1)) width *= 2;
  x = at::constant_pad_nd(x, {0, width - x.size(-1)});
  for (width /= 2; width > 0; width /= 2) x = x.narrow(-1, 0, width) + x.narrow(-1, width, width);
  return x.squeeze(-1);
}

void check_finite(const Tensor& flat, std::string_view name) {
  if (flat.numel() == 0) return;
  const Tensor bad = at::isfinite(flat).logical_not_();
  if (!bad.any().item<bool>()) return;
  const Tensor first = bad.nonzero().flatten()[0];
  fail("{}: {} of {} values are not finite, the first at element {}; it cannot be quantised", name, bad.sum().item<int64_t>(), flat.numel(),
       first.item<int64_t>());
}

Tensor kth(const Tensor& groups, double share) {   // the value below which `share` of each row lies
  const int64_t count = groups.size(1), k = std::clamp<int64_t>(static_cast<int64_t>(std::ceil(share * static_cast<double>(count))), 1, count);
  return std::get<0>(groups.topk(count - k + 1, 1)).select(1, count - k);   // kthvalue is refused where a run is deterministic, for its indices
}

void encode(kernels::Codec codec, const Tensor& x, const kernels::Constants& constants, Tensor& codes) {
  if (x.is_cuda()) return kernels::encode_cuda(codec, x.const_data_ptr(), real_type(x), x.numel(), constants, codes.mutable_data_ptr<uint8_t>(), current_stream(x));
  // Groups are cut over threads; an even number of numbers a thread keeps bytes whole.
  const int64_t group = constants.group, count = x.numel(), groups = (count + group - 1) / group;
  const bool four = codes.numel() < count;
  const auto run = [&](int64_t begin, int64_t end) {   // groups
    kernels::Constants part = constants;
    part.scale += begin;
    if (part.zero) part.zero += begin;
    const int64_t first = begin * group, size = std::min(count, end * group) - first;
    kernels::encode_cpu(codec, static_cast<const char*>(x.const_data_ptr()) + first * static_cast<int64_t>(x.element_size()), real_type(x), size, part,
                        codes.mutable_data_ptr<uint8_t>() + (four ? first / 2 : first));
  };
  if (four && group % 2 != 0) return run(0, groups);
  at::parallel_for(0, groups, std::max<int64_t>(1, 16384 / group), run);
}

Tensor to_reals(const Tensor& x) {   // contiguous, of a type that kernels take
  const bool real = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  return (real ? x : x.to(at::kFloat)).contiguous().flatten();
}

Ranges plain_ranges(const Tensor& flat, int64_t group) {
  const auto side = [&](auto reduce) { return by_groups(flat, group, [&](const Tensor& g) { return reduce(g).to(at::kFloat); }); };
  return {side([](const Tensor& g) { return g.amin({1}); }), side([](const Tensor& g) { return g.amax({1}); })};
}

Ranges percentile_ranges(const Tensor& flat, const Scheme& scheme, int64_t group) {
  const double share = scheme.clip_percentile / 100;
  const auto side = [&](auto reduce) { return by_groups(flat, group, [&](const Tensor& g) { return reduce(g.to(at::kFloat)); }); };
  if (!scheme.format->affine) {
    const Tensor high = side([&](const Tensor& g) { return kth(g.abs(), share); });
    return {-high, high};
  }
  return {side([&](const Tensor& g) { return -kth(-g, share); }), side([&](const Tensor& g) { return kth(g, share); })};
}

/// Scales and zeros of these ranges. Affine steps are taken in float64, so that no range overflows.
void set_constants(QuantizedTensor& q, const Ranges& ranges) {
  const Format& format = *q.scheme.format;
  if (!format.affine) {
    q.scale = at::maximum(ranges.low.neg(), ranges.high);
    q.scale = at::where(q.scale < 1.17549435e-38f, 0.0f, q.scale);   // below the normal range everything is zero
    return;
  }
  const Tensor low = at::minimum(ranges.low, at::zeros_like(ranges.low)).to(at::kDouble), high = at::maximum(ranges.high, at::zeros_like(ranges.high)).to(at::kDouble);
  q.scale = ((high - low) / static_cast<double>(format.highest - format.lowest)).to(at::kFloat);
  const Tensor shift = at::round(low.neg() / q.scale.to(at::kDouble)) + static_cast<double>(format.lowest);
  q.zero = at::where(q.scale == 0, at::zeros_like(shift), shift).clamp(format.lowest, format.highest).to(at::kChar);
}

void set_codes(QuantizedTensor& q, const Tensor& flat) {
  q.codes = at::empty({q.scheme.format->code_bits == 4 ? (flat.numel() + 1) / 2 : flat.numel()}, flat.options().dtype(at::kByte));
  encode(q.scheme.format->codec, flat, q.packed().constants, q.codes);
}

/// For each group the share of its range, of 1.00, 0.98 ... 0.30, whose squared error is least.
Ranges least_error_ranges(const Tensor& flat, const Scheme& scheme, int64_t group) {
  const Ranges whole = plain_ranges(flat, group);
  Ranges best = whole;
  Tensor least;
  QuantizedTensor q{.scheme = scheme, .shape = {flat.numel()}};
  q.scheme.grouping = Grouping::block, q.scheme.block_size = group, q.scheme.clip = Scheme::Clip::none;
  const Tensor exact = flat.to(at::kDouble);
  for (int percent = 100; percent >= 30; percent -= 2) {
    const Ranges ranges{whole.low * (percent / 100.0), whole.high * (percent / 100.0)};
    set_constants(q, ranges);
    set_codes(q, flat);
    const Tensor difference = exact - dequantize(q, at::kFloat).to(at::kDouble);
    const Tensor error = by_groups(difference * difference, group, ordered_sum);
    if (!least.defined()) {
      least = error;
      continue;
    }
    const Tensor better = error < least;
    least = at::where(better, error, least);
    best = {at::where(better, ranges.low, best.low), at::where(better, ranges.high, best.high)};
  }
  return best;
}

Tensor dynamic_map_on(at::Device device) {
  return at::from_blob(const_cast<float*>(kernels::dynamic_map()), {256}, at::TensorOptions(at::kFloat)).clone().to(device);
}

void quantize_scales(QuantizedTensor& q) {
  const Tensor scale = std::exchange(q.scale, Tensor());
  q.map = dynamic_map_on(scale.device());
  q.offset = static_cast<float>(ordered_sum(scale.to(at::kDouble)).item<double>() / static_cast<double>(scale.numel()));
  const Tensor centred = scale - q.offset;
  const Ranges ranges = plain_ranges(centred, kernels::nested_group);
  q.nested_scale = at::maximum(ranges.low.neg(), ranges.high).abs();   // a zero has no sign
  q.scale_codes = at::empty({scale.numel()}, scale.options().dtype(at::kByte));
  kernels::Constants constants;
  constants.scale = q.nested_scale.const_data_ptr<float>();
  constants.map = q.map.const_data_ptr<float>();
  constants.group = kernels::nested_group;
  encode(kernels::Codec::dynamic8, centred, constants, q.scale_codes);
}

}  // namespace

Ranges group_ranges(const Tensor& x, const Scheme& scheme) {
  const Tensor flat = to_reals(x);
  const int64_t group = group_size(scheme, x.sizes());
  if (scheme.clip == Scheme::Clip::mse) return least_error_ranges(flat, scheme, group);
  return scheme.clip == Scheme::Clip::percentile ? percentile_ranges(flat, scheme, group) : plain_ranges(flat, group);
}

QuantizedTensor quantize(const Tensor& x, const Scheme& scheme, std::string_view name) {
  at::NoGradGuard no_grad;
  Tensor flat = to_reals(x.detach());
  check_finite(flat, name);
  if (scheme.format->through_fp16) {
    const Tensor half = flat.to(at::kHalf);
    if (at::isfinite(half).all().item<bool>()) flat = half;   // beyond fp16's range nothing is rounded first
  }
  QuantizedTensor q{.scheme = scheme, .shape = x.sizes().vec()};
  if (flat.numel() == 0) {
    q.codes = at::empty({0}, flat.options().dtype(at::kByte)), q.scale = at::empty({0}, flat.options().dtype(at::kFloat));
    if (scheme.format->affine) q.zero = at::empty({0}, flat.options().dtype(at::kChar));
    return q;
  }
  set_constants(q, group_ranges(flat.view(x.sizes()), scheme));
  set_codes(q, flat);
  if (scheme.double_quantization) quantize_scales(q);
  return q;
}

}  // namespace graft
