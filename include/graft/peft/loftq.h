#pragma once
// LoftQ (Li et al. 2023, "LoftQ: LoRA-fine-tuning-aware quantization", algorithm 1): LoRA whose factors start as the best rank-r part of
// what quantising took from W, so that Q + s B A is nearest to W. One alternation (T = 1, PEFT's default): the stored base is not touched,
// so other adapters may share it. Needs a quantised base and its original weights.
#include "graft/peft/lora.h"

namespace graft {

struct LoftqOptions : LowRankOptions {};

}  // namespace graft
