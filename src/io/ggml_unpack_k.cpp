#include "ggml_unpack.h"

#ifdef __clang__
#pragma clang fp contract(off)
#endif

namespace graft {
namespace {

struct ScaleAndMin {
  float scale[8], minimum[8];
};

// Eight scales and eight minima of 6 bits in 12 bytes: the first four whole, the last four's upper bits on top of those.
ScaleAndMin scales_of(const uint8_t* packed, float d, float dmin) {
  ScaleAndMin s;
  for (int j = 0; j < 4; ++j) {
    s.scale[j] = d * static_cast<float>(packed[j] & 63);
    s.minimum[j] = dmin * static_cast<float>(packed[4 + j] & 63);
    s.scale[4 + j] = d * static_cast<float>((packed[8 + j] & 15) | (packed[j] >> 6) << 4);
    s.minimum[4 + j] = dmin * static_cast<float>((packed[8 + j] >> 4) | (packed[4 + j] >> 6) << 4);
  }
  return s;
}

}  // namespace

// Each 32 bytes hold two sub-blocks of 32: low nibbles, then high ones.
void unpack_q4_k(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 144, out += 256) {
    const ScaleAndMin s = scales_of(in + 4, half(in), half(in + 2));
    for (int pair = 0; pair < 4; ++pair) {
      const uint8_t* q = in + 16 + 32 * pair;
      float* low = out + 64 * pair;
      for (int i = 0; i < 32; ++i) {
        low[i] = s.scale[2 * pair] * static_cast<float>(q[i] & 15) - s.minimum[2 * pair];
        low[32 + i] = s.scale[2 * pair + 1] * static_cast<float>(q[i] >> 4) - s.minimum[2 * pair + 1];
      }
    }
  }
}

// As Q4_K; bit j of high byte i is the fifth bit of element i of sub-block j.
void unpack_q5_k(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 176, out += 256) {
    const ScaleAndMin s = scales_of(in + 4, half(in), half(in + 2));
    const uint8_t* high = in + 16;
    for (int pair = 0; pair < 4; ++pair) {
      const uint8_t* q = in + 48 + 32 * pair;
      float* low = out + 64 * pair;
      for (int i = 0; i < 32; ++i) {
        const int first = (q[i] & 15) | ((high[i] >> (2 * pair)) & 1) << 4;
        const int second = (q[i] >> 4) | ((high[i] >> (2 * pair + 1)) & 1) << 4;
        low[i] = s.scale[2 * pair] * static_cast<float>(first) - s.minimum[2 * pair];
        low[32 + i] = s.scale[2 * pair + 1] * static_cast<float>(second) - s.minimum[2 * pair + 1];
      }
    }
  }
}

// Two halves of 128: 64 bytes of nibbles and 32 of upper bits give four runs of 32 elements, a signed scale every 16.
void unpack_q6_k(const uint8_t* in, size_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 210, out += 256) {
    const float d = half(in + 208);
    for (int run = 0; run < 8; ++run) {
      const int quarter = run % 4;
      const uint8_t* low = in + 64 * (run / 4) + 32 * (quarter % 2);
      const uint8_t* high = in + 128 + 32 * (run / 4);
      for (int sub = 0; sub < 2; ++sub) {
        const float scale = d * static_cast<float>(static_cast<int8_t>(in[192 + 2 * run + sub]));
        for (int i = 16 * sub; i < 16 * sub + 16; ++i) {
          const int q = ((low[i] >> (4 * (quarter / 2))) & 15) | ((high[i] >> (2 * quarter)) & 3) << 4;
          out[32 * run + i] = scale * static_cast<float>(q - 32);
        }
      }
    }
  }
}

}  // namespace graft
