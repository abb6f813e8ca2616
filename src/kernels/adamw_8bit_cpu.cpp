// The plain text of AdamW with moments of 8 bits. One thread: callers cut.
#include "adamw_8bit.h"

#include <algorithm>

namespace graft::kernels {

void adamw_8bit_cpu(const AdamW8& adam, int64_t begin, int64_t end) {
  if (adam.now[3] != 0) return;
  const float *average_map = adam.maps, *square_map = adam.maps + 256;
  for (int64_t block = begin; block < end; ++block) {
    Moments moments[moment_block];
    float largest = 0, largest_square = 0;
    for (int64_t i = 0; i < moment_block; ++i) {
      const int64_t at = block * moment_block + i;
      const Moments before{average_map[adam.average[at]] * adam.average_max[block], square_map[adam.square[at]] * adam.square_max[block]};
      moments[i] = taken_in(before, adam.gradients[at] / adam.now[0], adam);
      adam.values[at] = moved(adam.values[at], moments[i], adam);
      largest = std::max(largest, std::fabs(moments[i].average)), largest_square = std::max(largest_square, moments[i].square);
    }
    adam.average_max[block] = largest, adam.square_max[block] = largest_square;
    for (int64_t i = 0; i < moment_block; ++i) {
      adam.average[block * moment_block + i] = average_code(average_map, moments[i].average, largest);
      adam.square[block * moment_block + i] = square_code(square_map, moments[i].square, largest_square);
    }
  }
}

}  // namespace graft::kernels
