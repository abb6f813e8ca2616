#pragma once
// Attention over two sets of keys from attention over each: the sums of exponentials add up (Dao et al. 2022, "FlashAttention", section 3.1).
// On the way back either set's pass is told of the joined output and its lse, and the queries' gradients add up.
#include "graft/core/tensor.h"

namespace graft {

struct Attended {
  Tensor out;   // [batch, queries, heads, head_dim]
  Tensor lse;   // fp32 [batch, queries, heads]: each row's logarithm of the sum of exponentials
};

/// Where they lie, `attended` becomes what the keys of both would have given.
void join_attention(const Attended& attended, const Attended& more);

/// lse as passes over q [batch, queries, heads, head_dim] have it, [heads, batch * queries], as above.
inline Tensor by_query(const Tensor& lse, const Tensor& q) { return lse.view({q.size(2), q.size(0), q.size(1)}).permute({1, 2, 0}); }
/// Tokens of rows from a column on; what stands before it. [batch, time, ..]
inline Tensor behind(const Tensor& rows, int64_t column) { return rows.narrow(1, column, rows.size(1) - column); }
inline Tensor before(const Tensor& rows, int64_t column) { return rows.narrow(1, 0, column); }

}  // namespace graft
