#pragma once
// PiSSA (Meng et al. 2024, "PiSSA: principal singular values and singular vectors adaptation", section 3): the factors start as the best
// rank-r part of W, and the base loses that part. graft leaves the base alone, which others may share, and subtracts the first factors
// instead: y = W x + s (B A - B0 A0) x. That is the form in which PEFT makes such adapters portable (LoRA of twice the rank and alpha),
// and the form in which they are written.
#include "graft/peft/lora.h"

namespace graft {

struct PissaOptions : LowRankOptions {};

}  // namespace graft
