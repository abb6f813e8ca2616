#pragma once
// y = base(x) + s * B(A(z)) as one autograd node that keeps z and A z alone, never the dense weight.
#include <vector>

#include "graft/nn/site.h"

namespace graft {

/// z is x itself, or x after dropout.
Tensor low_rank_update(const Tensor& x, const Tensor& z, const LowRank& update, const Site& site);

/// Several updates, update i on the next rows[i] rows of x; the base's product is shared.
Tensor low_rank_updates(const Tensor& x, const std::vector<LowRank>& updates, const std::vector<int64_t>& rows, const Site& site);

}  // namespace graft
