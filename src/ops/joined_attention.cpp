#include "joined_attention.h"

#include <ATen/ATen.h>

namespace graft {

void join_attention(const Attended& attended, const Attended& more) {
  const Tensor share = at::sigmoid(more.lse - attended.lse).unsqueeze(3);
  const Tensor joined = attended.out.to(at::kFloat);   // itself, if it is
  joined.lerp_(more.out.to(at::kFloat), share);
  if (!joined.is_same(attended.out)) attended.out.copy_(joined);
  attended.lse.copy_(at::logaddexp(attended.lse, more.lse));
}

}  // namespace graft
