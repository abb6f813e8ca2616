#pragma once
// A decoder's block as one node: attention and feed-forward written out forward and backward, where each seat is empty or holds a low-rank update.
// Its meaning is DecoderLayer's; it agrees with it but for rounding. Goals: few launches and few passes over the residual stream; between the passes
// it keeps the residuals, q, k, v, the attention's output, gate and up, and rebuilds norms and the gated product; no gradient for anything frozen.
// Non-goals: a cache, prefixes, other adapters (all those go the plain way).
#include <memory>
#include <string>
#include <vector>

#include "graft/nn/folded_linears.h"
#include "graft/nn/norm.h"
#include "graft/ops/activation.h"
#include "graft/nn/transformer.h"
#include "graft/ops/attention.h"
#include "graft/ops/head_norm.h"
#include "graft/ops/host_store.h"
#include "graft/ops/side_work.h"

namespace graft {

/// What it is made of: the layers of a pre-norm block with a gated feed-forward, its rotary positions turning whole heads; norms behind both (Gemma 2 and 3)
/// may be null.
struct BlockParts {
  RmsNorm *before_attention = nullptr, *after_attention = nullptr, *before_mlp = nullptr, *after_mlp = nullptr;
  std::vector<Linear*> qkv, attention_output, gate_up, mlp_output;
  std::vector<Site*> sites;   // all of the block's
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  HeadNorms head_norms;       // undefined gains: none
  ScoreRule scores;
  Activation activation = Activation::silu;
};

/// What the blocks of a model share: the gradient handed to the block below, whose room beside it is known; inputs in the host's memory; and factors'
/// gradients, for which nobody waits before the pass ends.
struct BetweenBlocks {
  Tensor gradient;
  Fp8Rows gradient_codes;   // in 8 bits, where the block's own products are
  HostStore inputs;
  SideWork side;
};

/// Bytes that factors' gradients may read and yet wait for those of the block's other layers, on a GPU: few launches, and few streams to be joined. What
/// reads more is begun at once, as that memory is wanted again.
inline constexpr int64_t little_factor_work = int64_t{96} << 20;

class FusedBlock {
 public:
  FusedBlock(const BlockParts& parts, std::shared_ptr<BetweenBlocks> between);
  /// Its frozen products in 8 bits, or not; false: they stay as they were, quantised or of a size that has none.
  bool set_fp8(bool on);
  /// Whether it can take a pass: no cache or prefix, and seats as above.
  bool takes(const Batch& batch) const;
  /// x: [batch, time, dim]; batch: as its layer is told (rotation, mask).
  Tensor forward(const Tensor& x, const Batch& batch, Recompute recompute) const;

  struct Tape;
  struct OutputTape;

 private:
  friend class BlockNode;
  std::vector<Tensor> parameters(const Batch& batch) const;
  Tape run(const Tensor& x, const Batch& batch) const;
  void fold(Tape& tape) const;
  Tensor attend(const Tensor& x, Tape& tape) const;
  void turn(Tape& tape) const;
  void back_through_attention(Tape& tape, const Tensor& d_attended, const Tensor& d_qkv) const;
  std::array<Tensor, 3> heads_of(const Tape& tape) const;
  void feed(const Tensor& x, const Tensor& attended, Tape& tape) const;
  void gate(const Tensor& product, Tape& tape) const;
  void feed_down(const Tensor& product, Tape& tape) const;
  void make_gate_up(const Tensor& input, Tape& tape) const;
  void make_gate_up_again(Tape& tape) const;
  /// The gradient of x; undefined if it is not wanted.
  Tensor back(Tape& tape, const Tensor& grad, bool wants_x) const;
  Tensor back_to_input(Tape& tape, const Tensor& grad, bool wants_x) const;
  Tensor back_to_middle(Tape& tape, const Tensor& grad) const;
  Tensor with_room(const Tensor& grad, Folded& folded) const;
  struct FromGate;
  FromGate back_through_gate(Tape& tape, const Tensor& d_down, const Tensor& d_product, const Tensor& d_gate_up) const;
  void add_factor_gradients(Tape& tape, FactorWork work) const;
  void begin_factor_work(Tape& tape) const;
  Tensor before_output(const FoldedLinears& linears, const OutputTape& output, const RmsNorm* norm, const Tensor& grad, const Folded& folded) const;

  BlockParts parts_;
  FoldedLinears qkv_, attention_output_, gate_up_, mlp_output_;
  std::shared_ptr<BetweenBlocks> between_;
};

}  // namespace graft
