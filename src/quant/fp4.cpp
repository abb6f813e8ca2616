// FP4 (bitsandbytes' own e2m1 with a bias of 3): a sign and seven magnitudes, times the block's largest magnitude.
#include "graft/quant/format.h"

namespace graft {
const Format fp4_format{.name = "fp4", .summary = "4-bit floating point, by block (bitsandbytes)", .codec = kernels::Codec::fp4, .code_bits = 4};
}  // namespace graft
