#pragma once
// What a fused block keeps between its two passes.
#include "graft/nn/fused_block.h"
#include "graft/ops/attention_pass.h"

namespace graft {

/// A layer's output where it does not go to the residuals as it is: gains made it, or a norm stands behind it.
struct FusedBlock::OutputTape {
  Tensor y, rstd;
};

/// What lies between the two passes. Matrices are [tokens, ..]; narrow ones are copies of what stood beside an input that is not kept.
struct FusedBlock::Tape {
  Batch batch;
  Tensor x, qkv, turned, attended, middle, gate_up;   // turned: q and k behind norms of their own; else qkv holds them turned
  Tensor first_rstd, second_rstd;
  OutputTape attention_output, down;
  std::unique_ptr<AttentionPass> attention;
  Folded qkv_folded, output_folded, gate_up_folded, down_folded;
  Tensor qkv_narrow, gate_up_narrow, down_narrow;
  Tensor out;
  std::shared_ptr<HostStore::Slot> stored;   // x, in the host's memory
  std::vector<FactorWork> factor_work;       // put off until there is enough of it
};

}  // namespace graft
