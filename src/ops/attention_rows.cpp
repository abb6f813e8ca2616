#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>

#include "attention_passes.h"

namespace graft {
namespace {

Tensor by_head(const Tensor& x) { return x.transpose(1, 2); }   // [batch, time, heads, dim] <-> [batch, heads, time, dim]

/// What both operators return beside the output. Neither is given a mask.
struct Kept {
  Tensor lse, cum_q, cum_k, seed, offset;
  int64_t most_q = 0, most_k = 0;
};

/// By head, as the operators have it.
struct Heads {
  Tensor q, k, v;
};

struct Cudnn {
  static auto forward(const Heads& in, bool causal, std::optional<double> scale) {
    return at::_scaled_dot_product_cudnn_attention(in.q, in.k, in.v, std::nullopt, /*compute_log_sumexp=*/true, 0.0, causal, false, scale);
  }
  static auto backward(const Tensor& grad, const Heads& in, const Tensor& out, const Kept& kept, bool causal, std::optional<double> scale) {
    return at::_scaled_dot_product_cudnn_attention_backward(grad, in.q, in.k, in.v, out, kept.lse, kept.seed, kept.offset, Tensor(), kept.cum_q, kept.cum_k, kept.most_q, kept.most_k,
                                                            0.0, causal, scale);
  }
};

struct Flash {
  static auto forward(const Heads& in, bool causal, std::optional<double> scale) { return at::_scaled_dot_product_flash_attention(in.q, in.k, in.v, 0.0, causal, false, scale); }
  static auto backward(const Tensor& grad, const Heads& in, const Tensor& out, const Kept& kept, bool causal, std::optional<double> scale) {
    return at::_scaled_dot_product_flash_attention_backward(grad, in.q, in.k, in.v, out, kept.lse, kept.cum_q, kept.cum_k, kept.most_q, kept.most_k, 0.0, causal, kept.seed,
                                                            kept.offset, scale);
  }
};

template <class Operator>
class RowsPass : public AttentionPass {
 public:
  RowsPass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) : causal_(mask.causal), scale_(rule.scale) {
    auto [out, lse, cum_q, cum_k, most_q, most_k, seed, offset, debug] = Operator::forward({by_head(q), by_head(k), by_head(v)}, causal_, scale_);
    out_ = by_head(out);
    kept_ = {lse, cum_q, cum_k, seed, offset, most_q.guard_int(__FILE__, __LINE__), most_k.guard_int(__FILE__, __LINE__)};
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const auto [dq, dk, dv] = Operator::backward(by_head(grad), {by_head(q), by_head(k), by_head(v)}, by_head(out_), kept_, causal_, scale_);
    return {by_head(dq), by_head(dk), by_head(dv)};
  }

 private:
  bool causal_;
  std::optional<double> scale_;
  Kept kept_;
};

}  // namespace

std::unique_ptr<AttentionPass> rows_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  const auto choice = static_cast<at::SDPBackend>(
      at::_fused_sdp_choice(by_head(q), by_head(k), by_head(v), {}, 0.0, mask.causal, rule.scale, /*enable_gqa=*/q.size(2) != k.size(2)));
  if (choice == at::SDPBackend::cudnn_attention) return std::make_unique<RowsPass<Cudnn>>(q, k, v, mask, rule);
  if (choice == at::SDPBackend::flash_attention) return std::make_unique<RowsPass<Flash>>(q, k, v, mask, rule);
  return nullptr;
}

}  // namespace graft
