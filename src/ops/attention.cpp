#include "graft/ops/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace graft {

Tensor visible(const Tensor& query_segments, const Tensor& query_positions, const Tensor& key_segments, const Tensor& key_positions) {
  const Tensor same = query_segments.unsqueeze(2).eq(key_segments.unsqueeze(1));
  const Tensor before = key_positions.unsqueeze(1).le(query_positions.unsqueeze(2));
  const Tensor padding = query_segments.lt(0).unsqueeze(2);  // a padding query sees all padding, whatever its position
  const Tensor prefix = key_segments.eq(everyone).unsqueeze(1);
  return same.logical_and(before.logical_or(padding)).logical_or(prefix).unsqueeze(1);
}

Tensor visible_both_ways(const Tensor& query_segments, const Tensor& key_segments) {
  const Tensor same = query_segments.unsqueeze(2).eq(key_segments.unsqueeze(1));
  return same.logical_or(key_segments.eq(everyone).unsqueeze(1)).unsqueeze(1);
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask) {
  const Tensor queries = q.transpose(1, 2);
  Tensor keys = k.transpose(1, 2), values = v.transpose(1, 2);
  const int64_t groups = q.size(2) / k.size(2);
  const bool grouped = groups > 1 && q.device().is_cuda();
  if (groups > 1 && !grouped) {  // the CPU kernel takes equal heads only
    keys = keys.repeat_interleave(groups, 1);
    values = values.repeat_interleave(groups, 1);
  }
  const std::optional<Tensor> allowed = mask.allowed.defined() ? std::optional<Tensor>(mask.allowed) : std::nullopt;
  const Tensor out = at::scaled_dot_product_attention(queries, keys, values, allowed, 0.0, mask.causal && !allowed, std::nullopt, grouped);
  return out.transpose(1, 2).reshape({q.size(0), q.size(1), q.size(2) * q.size(3)});
}

Tensor attention_text(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& allowed, const std::function<Tensor(const Tensor&)>& on_weights) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor scores = at::matmul(q.transpose(1, 2) * scale, k.permute({0, 2, 3, 1}));   // [batch, heads, queries, keys]
  const Tensor weights = at::softmax(scores.masked_fill(allowed.logical_not(), -std::numeric_limits<double>::infinity()), -1);
  const Tensor out = at::matmul(on_weights(weights), v.transpose(1, 2));
  return out.transpose(1, 2).reshape({q.size(0), q.size(1), q.size(2) * q.size(3)});
}

}  // namespace graft
