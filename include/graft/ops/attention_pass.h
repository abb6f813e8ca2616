#pragma once
// Attention outside autograd, for a fused block: what its backward pass needs lies in the open, so that it can be dropped and made again.
#include <array>
#include <memory>

#include "graft/ops/attention.h"
#include "graft/ops/rope.h"

namespace graft {

class AttentionPass {
 public:
  virtual ~AttentionPass() = default;
  /// [batch, queries, heads, head_dim], and the same after its storage was moved.
  const Tensor& out() const { return out_; }
  void replace_out(const Tensor& out) { out_ = out; }
  /// Gradients of q, k and v, as they came, from that of the output.
  virtual std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const = 0;
  /// The same side by side, [tokens, (heads + 2 kv_heads) * head_dim], those of q and k turned back.
  virtual void backward_into(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Rotation& rotation, const Tensor& out) const;

 protected:
  Tensor out_;
};

/// [tokens, heads * head_dim] of [batch, time, heads, head_dim]: a view where it lies so.
Tensor by_token(const Tensor& x);

/// As attention() of ops/attention.h. q: [batch, queries, heads, head_dim]; k, v: [batch, keys, kv_heads, head_dim], rows in wider ones allowed.
std::unique_ptr<AttentionPass> attention_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);
/// The same as a node of autograd: [batch, queries, heads * head_dim].
Tensor attention_by_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);

}  // namespace graft
