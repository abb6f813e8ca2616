#pragma once
// Low-rank updates as a kernel's argument.
#include "graft/kernels/block.h"

namespace graft::kernels {

struct Updates {
  Update at[update_limit];
  int count;
};

inline Updates all_of(const Update* updates, int count) {
  Updates all{};
  all.count = count;
  for (int i = 0; i < count; ++i) all.at[i] = updates[i];
  return all;
}

}  // namespace graft::kernels
