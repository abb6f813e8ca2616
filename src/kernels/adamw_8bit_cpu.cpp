// The plain text of AdamW with moments of 8 bits. One thread: callers cut.
#include "adamw_8bit.h"
#include "wide.h"

namespace graft::kernels {
namespace {

constexpr int lanes = 16;   // numbers that are gone through side by side
using Block = float[moment_block];

GRAFT_INLINE void decode(const float* map, const uint8_t* codes, float largest, Block& moments) {
  for (int64_t i = 0; i < moment_block; ++i) moments[i] = map[codes[i]] * largest;
}

GRAFT_INLINE float largest_of(const Block& moments) {
  float each[lanes] = {}, largest = 0;
  for (int64_t i = 0; i < moment_block; i += lanes)
    for (int k = 0; k < lanes; ++k) each[k] = __builtin_fabsf(moments[i + k]) > each[k] ? __builtin_fabsf(moments[i + k]) : each[k];
  for (const float x : each) largest = x > largest ? x : largest;
  return largest;
}

GRAFT_INLINE void nearest_codes(const float* midpoints, const Block& moments, float largest, uint8_t* codes) {
  for (int64_t i = 0; i < moment_block; i += lanes) {
    int code[lanes] = {};
    float share[lanes];
    for (int k = 0; k < lanes; ++k) share[k] = share_of(moments[i + k], largest);
    for (int bit = 7; bit >= 0; --bit)
      for (int k = 0; k < lanes; ++k) code[k] = with_next_bit(midpoints, code[k], bit, share[k]);
    for (int k = 0; k < lanes; ++k) codes[i + k] = static_cast<uint8_t>(code[k]);
  }
}

GRAFT_WIDE void step_block(const AdamW8& adam, int64_t block) {
  const int64_t begin = block * moment_block;
  const float divisor = adam.now[0], step_size = adam.now[1], correction = adam.now[2];
  float* values = adam.values + begin;
  const float* gradients = adam.gradients + begin;
  uint8_t *averages = adam.average + begin, *squares = adam.square + begin;
  Block average, square;
  decode(adam.maps, averages, adam.average_max[block], average);
  decode(adam.maps + 512, squares, adam.square_max[block], square);
  for (int64_t i = 0; i < moment_block; ++i) {
    const Moments now = taken_in({average[i], square[i]}, gradients[i] / divisor, adam);
    values[i] = moved(values[i], now, adam, step_size, correction);
    average[i] = now.average, square[i] = now.square;
  }
  adam.average_max[block] = largest_of(average), adam.square_max[block] = largest_of(square);
  nearest_codes(adam.maps + 256, average, adam.average_max[block], averages);
  nearest_codes(adam.maps + 768, square, adam.square_max[block], squares);
  for (int64_t i = 0; i < moment_block; ++i) squares[i] = static_cast<uint8_t>(square_code(squares[i], square[i]));
}

}  // namespace

void adamw_8bit_cpu(const AdamW8& adam, int64_t begin, int64_t end) {
  if (adam.now[3] != 0) return;
  for (int64_t block = begin; block < end; ++block) step_block(adam, block);
}

}  // namespace graft::kernels
