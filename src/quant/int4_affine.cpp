// Group-wise 4-bit integers with scale and zero, the storage of GPTQ, AWQ and HQQ: codes in [0, 15], the range widened to hold 0.
#include "graft/quant/format.h"

namespace graft {
const Format int4_affine_format{.name = "int4_affine", .summary = "4-bit integers with scale and zero, by block", .codec = kernels::Codec::int4_affine,
                                .code_bits = 4, .affine = true, .lowest = 0, .highest = 15, .clips = true};
}  // namespace graft
