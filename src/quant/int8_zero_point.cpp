// Asymmetric int8 (Jacob et al. 2018, "Quantization and training of neural networks", section 2.1): codes in [-128, 127]; the range is
// widened to hold 0, which comes back exactly.
#include "graft/quant/format.h"

namespace graft {
const Format int8_zero_point_format{.name = "int8_zero_point", .summary = "8-bit integers with a zero point, by row",
                                    .codec = kernels::Codec::int8_zero_point, .code_bits = 8, .usual = Grouping::row, .only_usual = false,
                                    .affine = true, .lowest = -128, .highest = 127, .clips = true};
}  // namespace graft
