// FP8 e4m3 (Micikevicius et al. 2022, "FP8 formats for deep learning"): the row's largest magnitude becomes 448, the largest code.
#include "graft/quant/format.h"

namespace graft {
const Format fp8_format{.name = "fp8", .summary = "8-bit floating point (e4m3), by row", .codec = kernels::Codec::fp8, .code_bits = 8, .usual = Grouping::row};
}  // namespace graft
