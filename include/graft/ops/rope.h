#pragma once
// Rotary position embedding (Su et al. 2021, "RoFormer") in the half-split form of Hugging Face, so that no projection is permuted.
#include <optional>
#include <string>

#include "graft/core/tensor.h"

namespace graft {

/// How frequencies are scaled: "default"; "linear" (positions / factor); "llama3" (Llama 3.1's config: low and high bands).
struct RopeSpec {
  std::string type = "default";
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;   // llama3
  int64_t original_max_position = 8192;               // llama3
};

/// fp32 [head_dim / 2]
Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim);

struct Rotation {
  Tensor cosine, sine;  // fp32 [batch, time, head_dim / 2]
};
/// positions: int64 [batch, time].
Rotation rotation_at(const Tensor& positions, const Tensor& frequencies);

/// x: [batch, time, heads, head_dim] -> the same, rotated.
Tensor rotate(const Tensor& x, const Rotation& rotation);
Tensor rotate_text(const Tensor& x, const Rotation& rotation);

}  // namespace graft
