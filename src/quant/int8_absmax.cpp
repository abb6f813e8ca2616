// Int8 by the largest magnitude (Dettmers et al. 2022, "LLM.int8()", section 2.1): symmetric, codes in [-127, 127]. By row it is
// bitsandbytes' storage; outlier columns are not split off (its threshold 0).
#include "graft/quant/format.h"

namespace graft {
const Format int8_absmax_format{.name = "int8_absmax", .summary = "8-bit integers, symmetric, by row (LLM.int8's storage)",
                                .codec = kernels::Codec::int8_absmax, .code_bits = 8, .usual = Grouping::row, .only_usual = false,
                                .clips = true, .through_fp16 = true};
}  // namespace graft
