#pragma once
// Scaled dot-product attention (Vaswani et al. 2017) with grouped key/value heads (Ainslie et al. 2023), in a window of positions
// (Beltagy et al. 2020; Jiang et al. 2023) or over all, with capped scores (Gemma 2, 2024) or plain ones.
#include <functional>
#include <optional>

#include "graft/core/tensor.h"

namespace graft {

/// Texts side by side in rows of tokens: int32 [texts + 1], where each begins in the flattened batch, and the end of the last. Empty ones may follow.
struct Texts {
  Tensor starts = {};
  int64_t longest = 0;   // at least as long as any
  Tensor bounds = {};    // the same by tokens, for a GPU: int32 [tokens, 2], where each one's text begins and ends; of what is shared, its row
  int64_t shared = 0;    // so many columns, each row's first text, are seen by all texts of the row
};

/// Which key a query sees: of the same segment, at its own position or before.
struct AttentionMask {
  bool causal = true;   // each row is one segment (not packed) from position 0, padding behind it, as many queries as keys: no mask is needed
  Tensor allowed;       // otherwise bool [batch, 1, queries, keys]; undefined: every key is seen
  Texts texts = {};     // defined: instead of both, a query sees its text up to itself, and what texts share
};

/// How products of queries and keys become scores: times `scale`, then cap * tanh(score / cap).
struct ScoreRule {
  std::optional<double> scale;   // 1 / sqrt(head_dim), if it says nothing
  double cap = 0;                // 0: none
  double scale_of(int64_t head_dim) const;
};

/// A key segment that every query at its position or behind it sees, padding too: a trained prefix, which has the positions in front of the tokens, or the
/// beginning that a row's texts share.
inline constexpr int64_t everyone = -2;

/// segments, positions: int64 [batch, queries] and [batch, keys]. Padding (segment -1) sees padding, so that no row is empty. window: a query
/// sees the keys at the last so many positions, its own counted, a prefix's too; 0: all before it.
Tensor visible(const Tensor& query_segments, const Tensor& query_positions, const Tensor& key_segments, const Tensor& key_positions, int64_t window = 0);
/// The same in both directions, for encoders: a query sees its segment, whatever the positions.
Tensor visible_both_ways(const Tensor& query_segments, const Tensor& key_segments);

/// Whether attention() can go text by text for such heads: on the CPU, and where flash attention takes them (Dao 2023, "FlashAttention-2", its rows of varied
/// length). Else the texts are to be told by a mask. A GPU without an index is any that has the type.
bool attends_by_text(at::Device device, at::ScalarType dtype, int64_t head_dim, const ScoreRule& rule);

/// q: [batch, queries, heads, head_dim]; k, v: [batch, keys, kv_heads, head_dim] -> [batch, queries, heads * head_dim].
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule = {});

/// The meaning, with the weights [batch, heads, queries, keys] passed through `on_weights` (dropout) where there is one.
Tensor attention_text(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule = {},
                      const std::function<Tensor(const Tensor&)>& on_weights = {});

}  // namespace graft
