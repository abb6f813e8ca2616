// The plain text of cross-entropy. One thread: callers cut the rows.
#include <algorithm>
#include <cmath>

#include "rows.h"

namespace graft::kernels {
namespace {

constexpr int64_t stretch = 1024;   // columns that are added up in fp32, before they join the others in fp64

struct Sums {
  double exponentials = 0, logits = 0;   // of exp(x - largest), and of x - largest
};

template <class T>
GRAFT_INLINE Sums sums_of(const T* x, int64_t columns, float largest) {
  Sums all;
  for (int64_t begin = 0; begin < columns; begin += stretch) {
    const int64_t end = std::min(columns, begin + stretch);
    float exponentials[lanes] = {}, logits[lanes] = {};
    int64_t c = begin;
    for (; c + lanes <= end; c += lanes)
      for (int l = 0; l < lanes; ++l) {
        const float below = to_float(x[c + l]) - largest;
        exponentials[l] += exp_vectorisable(below), logits[l] += below;
      }
    for (; c < end; ++c) exponentials[0] += exp_vectorisable(to_float(x[c]) - largest), logits[0] += to_float(x[c]) - largest;
    for (int l = 0; l < lanes; ++l) all.exponentials += exponentials[l], all.logits += logits[l];
  }
  return all;
}

/// Logits become softmax - right; the row's loss is returned.
template <class T>
GRAFT_INLINE float through_row(T* x, int64_t columns, int64_t target, float smoothing) {
  if (target < 0) {
    for (int64_t c = 0; c < columns; ++c) store(x + c, 0.0f);
    return 0;
  }
  const float largest = largest_of(x, columns), at_target = to_float(x[target]);
  const Sums sums = sums_of(x, columns, largest);
  const double log_sum = std::log(sums.exponentials);
  const float narrow_sum = static_cast<float>(log_sum), each = smoothing / static_cast<float>(columns);
  for (int64_t c = 0; c < columns; ++c) store(x + c, exp_vectorisable(to_float(x[c]) - largest - narrow_sum) - each);
  store(x + target, exp_vectorisable(at_target - largest - narrow_sum) - each - (1 - smoothing));
  const double surprise = log_sum - (static_cast<double>(at_target) - largest), mean_surprise = log_sum - sums.logits / static_cast<double>(columns);
  return static_cast<float>((1 - smoothing) * surprise + smoothing * mean_surprise);
}

#define GRAFT_DEFINE(T) \
  GRAFT_WIDE float through(T* x, int64_t columns, int64_t target, float smoothing) { return through_row(x, columns, target, smoothing); }
GRAFT_EACH_REAL(GRAFT_DEFINE)
#undef GRAFT_DEFINE

}  // namespace

void cross_entropy_cpu(void* logits, Real type, int64_t rows, int64_t columns, const int64_t* targets, float smoothing, float* losses) {
  with_real(type, [&](auto* t) {
    auto* const first = static_cast<decltype(t)>(logits);
    for (int64_t i = 0; i < rows; ++i) losses[i] = through(first + i * columns, columns, targets[i], smoothing);
  });
}

}  // namespace graft::kernels
