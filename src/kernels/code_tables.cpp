// The points that codes stand for.
#include <algorithm>
#include <cmath>
#include <vector>

#include "codecs.h"

namespace graft::kernels {
namespace {

constexpr float nf4_points[16] = {GRAFT_NF4_POINTS};
constexpr float fp4_points[16] = {GRAFT_FP4_POINTS};
constexpr float int4_points[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// bitsandbytes' create_dynamic_map, 7 exponent bits: decades of midpoints, finer towards 1; without a sign twice as fine.
std::vector<float> make_dynamic_map(bool with_sign) {
  std::vector<float> map{0.0f, 1.0f};
  for (int i = 0; i < 7; ++i) {
    // torch.linspace(0.1, 1, count) in fp32 counts from the nearer end, with fused multiply-adds where a processor has them
    const int count = (with_sign ? 1 << i : 2 << i) + 1;
    const float first = 0.1f, last = 1.0f, step = (last - first) / static_cast<float>(count - 1);
    const auto boundary = [&](int k) {
      return k < count / 2 ? std::fma(step, static_cast<float>(k), first) : std::fma(-step, static_cast<float>(count - 1 - k), last);
    };
    const auto decade = static_cast<float>(std::pow(10.0, i - 6));
    for (int k = 0; k + 1 < count; ++k) {
      const float point = decade * ((boundary(k) + boundary(k + 1)) / 2.0f);
      map.push_back(point);
      if (with_sign) map.push_back(-point);
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

}  // namespace

const float* dynamic_map() {
  static const std::vector<float> map = make_dynamic_map(true);
  return map.data();
}
const float* unsigned_dynamic_map() {
  static const std::vector<float> map = make_dynamic_map(false);
  return map.data();
}
const float* code_points(Codec codec) { return codec == Codec::nf4 ? nf4_points : codec == Codec::fp4 ? fp4_points : int4_points; }

}  // namespace graft::kernels
