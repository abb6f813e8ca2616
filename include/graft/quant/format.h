#pragma once
// Storage formats of a frozen base. A format is one file and one line in the table; what its codes mean is in src/kernels/codecs.h.
// `none` (16 or 32 bits, as it is) has no codes and is not in the table.
#include <span>
#include <string>
#include <string_view>

#include "graft/config/visit.h"
#include "graft/kernels/api.h"

namespace graft {

/// Which numbers share their constants.
enum class Grouping { row, tensor, block };

struct Format {
  std::string_view name;
  std::string_view summary;                 // a line for people
  kernels::Codec codec{};
  int code_bits = 8;
  Grouping usual = Grouping::block;
  bool only_usual = true;                   // no other grouping
  bool affine = false;                      // a group has a zero beside its scale
  int lowest = 0, highest = 0;              // affine: the codes' range
  bool clips = false;                       // takes `clip`: an integer format
  bool through_fp16 = false;                // numbers are rounded to fp16 first, as bitsandbytes does it
};

// The growth table.
#define GRAFT_FORMATS(X) X(int8_absmax) X(int8_zero_point) X(int4_affine) X(nf4) X(fp4) X(fp8)

#define GRAFT_DECLARE_FORMAT(name) extern const Format name##_format;
GRAFT_FORMATS(GRAFT_DECLARE_FORMAT)
#undef GRAFT_DECLARE_FORMAT

std::span<const Format* const> formats();
/// A RequestError that names the known ones.
const Format& format_of(std::string_view name);
/// "none" and the table's names.
Choices format_names();

}  // namespace graft
