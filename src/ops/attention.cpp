#include "graft/ops/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "attention_on_cpu.h"
#include "graft/kernels/api.h"
#include "graft/ops/attention_pass.h"

namespace graft {
namespace {

Tensor repeated(const Tensor& heads, int64_t groups) { return groups > 1 ? heads.repeat_interleave(groups, 1) : heads; }

Tensor joined(const Tensor& out) { return out.transpose(1, 2).reshape({out.size(0), out.size(2), out.size(1) * out.size(3)}); }

Tensor allowed_by(const AttentionMask& mask, const Tensor& scores) {
  if (mask.allowed.defined() || !mask.causal) return mask.allowed;
  return at::ones({scores.size(2), scores.size(3)}, scores.options().dtype(at::kBool)).tril();
}

}  // namespace

double ScoreRule::scale_of(int64_t head_dim) const { return scale.value_or(1 / std::sqrt(static_cast<double>(head_dim))); }

bool attends_by_text(at::Device device, at::ScalarType dtype, int64_t head_dim, const ScoreRule& rule) {
  if (rule.cap > 0) return false;
  if (device.is_cpu()) return dtype != at::kDouble;
  const bool narrow = dtype == at::kBFloat16 || dtype == at::kHalf;
  return narrow && head_dim % 8 == 0 && head_dim <= 256 && (!device.has_index() || kernels::cuda_compute_capability(device.index()) >= 80);
}

Tensor visible(const Tensor& query_segments, const Tensor& query_positions, const Tensor& key_segments,
               const Tensor& key_positions, int64_t window) {
  const Tensor queries = query_positions.unsqueeze(2), keys = key_positions.unsqueeze(1);
  const Tensor same = query_segments.unsqueeze(2).eq(key_segments.unsqueeze(1));
  Tensor before = keys.le(queries);
  if (window > 0) before = before.logical_and(keys.gt(queries - window));
  const Tensor padding = query_segments.eq(-1).unsqueeze(2);  // a padding query sees all padding, whatever its position
  return same.logical_and(before.logical_or(padding)).logical_or(key_segments.eq(everyone).unsqueeze(1).logical_and(before)).unsqueeze(1);
}

Tensor visible_both_ways(const Tensor& query_segments, const Tensor& key_segments) {
  const Tensor same = query_segments.unsqueeze(2).eq(key_segments.unsqueeze(1));
  return same.logical_or(key_segments.eq(everyone).unsqueeze(1)).unsqueeze(1);
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  if (has_cpu_attention(q, mask, rule)) return attention_on_cpu(q, k, v, mask, rule);
  if (mask.texts.starts.defined()) return attention_by_pass(q, k, v, mask, rule);
  if (rule.cap > 0) return attention_text(q, k, v, mask, rule);  // SDPA has no cap
  const int64_t groups = q.size(2) / k.size(2);
  const bool grouped = groups > 1 && q.device().is_cuda() && q.element_size() == 2;  // kernels of wider types take equal heads only
  const Tensor keys = grouped ? k.transpose(1, 2) : repeated(k.transpose(1, 2), groups);
  const Tensor values = grouped ? v.transpose(1, 2) : repeated(v.transpose(1, 2), groups);
  const std::optional<Tensor> allowed = mask.allowed.defined() ? std::optional<Tensor>(mask.allowed) : std::nullopt;
  return joined(at::scaled_dot_product_attention(q.transpose(1, 2), keys, values, allowed, 0.0, mask.causal && !allowed,
                                                 rule.scale, grouped));
}

Tensor attention_text(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule,
                      const std::function<Tensor(const Tensor&)>& on_weights) {
  const int64_t groups = q.size(2) / k.size(2);
  const double scale = rule.scale_of(q.size(3));
  Tensor scores = at::matmul(q.transpose(1, 2) * scale,
                             repeated(k.transpose(1, 2), groups).transpose(2, 3));  // [batch, heads, queries, keys]
  if (rule.cap > 0) scores = at::tanh(scores / rule.cap) * rule.cap;
  if (const Tensor allowed = allowed_by(mask, scores); allowed.defined())
    scores = scores.masked_fill(allowed.logical_not(), -std::numeric_limits<double>::infinity());
  const Tensor weights = at::softmax(scores, -1);
  return joined(at::matmul(on_weights ? on_weights(weights) : weights, repeated(v.transpose(1, 2), groups)));
}

}  // namespace graft
