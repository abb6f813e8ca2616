// NF4 (Dettmers et al. 2023, "QLoRA", section 3 and appendix E): 16 points, the quantiles of a normal distribution, times the block's
// largest magnitude. Codes, thresholds and constants are bitsandbytes' on CUDA.
#include "graft/quant/format.h"

namespace graft {
const Format nf4_format{.name = "nf4", .summary = "4-bit points at a normal distribution's quantiles, by block (QLoRA)",
                        .codec = kernels::Codec::nf4, .code_bits = 4};
}  // namespace graft
