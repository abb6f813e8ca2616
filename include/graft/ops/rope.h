#pragma once
// Rotary position embedding (Su et al. 2021, "RoFormer") in the half-split form of Hugging Face, so that no projection is permuted.
#include <string>
#include <vector>

#include "graft/core/tensor.h"

namespace graft {

/// How frequencies are scaled, by transformers' names: "default"; "linear" (positions / factor); "llama3" (Llama 3.1's config: low and high
/// bands); "yarn" (Peng et al. 2023); and by the length of the text that a token is in: "dynamic" (NTK-aware, its base grows past max_position)
/// and "longrope" (Ding et al. 2024; factors of each frequency, others past original_max_position).
struct RopeSpec {
  std::string type = "default";
  double theta = 10000;
  double rotated_share = 1;                           // of a head's columns, the first ones; the others pass
  double factor = 1;
  double attention_factor = 1;                        // yarn, longrope: of cosines and sines
  double low_freq_factor = 1, high_freq_factor = 4;   // llama3
  int64_t max_position = 2048;                        // dynamic
  int64_t original_max_position = 8192;               // llama3, yarn, longrope
  double beta_fast = 32, beta_slow = 1;               // yarn: turns within the original context, above and below which ...
  bool truncate = true;                               // ... the band between them cut at whole columns
  std::vector<double> short_factor, long_factor;      // longrope
  bool operator==(const RopeSpec&) const = default;
};

/// fp32 [rotated / 2]; where they depend on the text's length, those within the original context.
Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim);

bool depends_on_length(const RopeSpec& spec);
/// Whether texts of these two lengths (from < to) have the same frequencies: keys that were cached at the one hold for the other.
bool same_frequencies(const RopeSpec& spec, int64_t from, int64_t to);
/// Of tokens in texts of `lengths` tokens (int64, any shape): fp32 [.., rotated / 2].
Tensor rope_frequencies(const RopeSpec& spec, int64_t head_dim, const Tensor& lengths);

struct Rotation {
  Tensor cosine, sine;  // fp32 [batch, time, rotated / 2]; undefined: nothing turns
};
/// positions: int64 [batch, time]; frequencies: [rotated / 2], or each token's own.
Rotation rotation_at(const Tensor& positions, const Tensor& frequencies, double attention_factor = 1);

/// x: [batch, time, heads, head_dim] -> the same, rotated.
Tensor rotate(const Tensor& x, const Rotation& rotation);
Tensor rotate_text(const Tensor& x, const Rotation& rotation);

/// Outside autograd, for a fused block: heads of q, k and v, matrices [tokens, heads * head_dim] that may lie in wider ones, side by side into `out` (which
/// may be where they are). `bias`, if defined, is added first: [columns of out]. q's and k's heads turn; `inverse`: back.
void rotate_into(const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim, const Tensor& bias, const Rotation& rotation, bool inverse, const Tensor& out);

}  // namespace graft
