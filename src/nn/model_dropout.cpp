#include "graft/nn/model_dropout.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/ops/dropout.h"
#include "by_parts.h"

namespace graft {
ModelDropout::ModelDropout(const std::string& path, double p) : share(p), site(static_cast<uint32_t>(hash_of(path))) {
  require(p >= 0 && p < 1, "{}: a dropout of {} is not between 0 and 1", path, p);
}

Tensor ModelDropout::operator()(const Tensor& x, const Batch& batch) const {
  if (!active(batch)) return x;
  return by_parts(x, batch, [&](const Tensor& rows, const Batch& part) {
    return dropout(rows, share, dropout_key(part, site), part.segments, part.positions);
  });
}

Tensor ModelDropout::of_attention(const Tensor& weights, const Batch& batch) const {
  if (!active(batch)) return weights;
  return by_parts(weights, batch, [&](const Tensor& rows, const Batch& part) {
    const int64_t heads = rows.size(1), queries = rows.size(2), keys = rows.size(3), prefix = keys - queries;
    const Tensor head = at::arange(heads, part.positions.options()).view({1, heads, 1}) * (int64_t{1} << 16);
    const Tensor positions = part.positions.unsqueeze(1) + head;   // [batch, heads, queries]
    const Tensor kept = dropout(at::ones_like(rows), share, dropout_key(part, site),
                                part.segments.unsqueeze(1).expand_as(positions), positions);
    const Tensor in_front = at::arange(prefix, part.positions.options()).expand({rows.size(0), prefix});
    const Tensor column = at::cat({in_front, part.positions}, 1);   // [batch, keys]; tokens' positions begin behind the prefix
    return rows * kept.gather(3, column.view({rows.size(0), 1, 1, keys}).expand_as(rows));
  });
}

}  // namespace graft
