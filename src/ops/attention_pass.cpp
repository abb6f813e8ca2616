#include "graft/ops/attention_pass.h"

#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>
#include <torch/csrc/autograd/autograd.h>

namespace graft {
namespace {

Tensor by_head(const Tensor& x) { return x.transpose(1, 2); }   // [batch, time, heads, dim] <-> [batch, heads, time, dim]

/// What both of LibTorch's fused operators return beside the output. Neither is given a mask.
struct Kept {
  Tensor lse, cum_q, cum_k, seed, offset;
  int64_t most_q = 0, most_k = 0;
};

class CudnnPass : public AttentionPass {
 public:
  CudnnPass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule)
      : causal_(mask.causal), scale_(rule.scale) {
    auto [out, lse, cum_q, cum_k, most_q, most_k, seed, offset, debug] =
        at::_scaled_dot_product_cudnn_attention(by_head(q), by_head(k), by_head(v), std::nullopt, /*compute_log_sumexp=*/true, 0.0, causal_, false, scale_);
    out_ = by_head(out);
    kept_ = {lse, cum_q, cum_k, seed, offset, most_q.guard_int(__FILE__, __LINE__), most_k.guard_int(__FILE__, __LINE__)};
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const auto [dq, dk, dv] = at::_scaled_dot_product_cudnn_attention_backward(by_head(grad), by_head(q), by_head(k), by_head(v), by_head(out_), kept_.lse, kept_.seed, kept_.offset,
                                                                               Tensor(), kept_.cum_q, kept_.cum_k, kept_.most_q, kept_.most_k, 0.0, causal_, scale_);
    return {by_head(dq), by_head(dk), by_head(dv)};
  }

 private:
  bool causal_;
  std::optional<double> scale_;
  Kept kept_;
};

class FlashPass : public AttentionPass {
 public:
  FlashPass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) : causal_(mask.causal), scale_(rule.scale) {
    auto [out, lse, cum_q, cum_k, most_q, most_k, seed, offset, debug] =
        at::_scaled_dot_product_flash_attention(by_head(q), by_head(k), by_head(v), 0.0, causal_, false, scale_);
    out_ = by_head(out);
    kept_ = {lse, cum_q, cum_k, seed, offset, most_q.guard_int(__FILE__, __LINE__), most_k.guard_int(__FILE__, __LINE__)};
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_backward(by_head(grad), by_head(q), by_head(k), by_head(v), by_head(out_), kept_.lse, kept_.cum_q, kept_.cum_k,
                                                                               kept_.most_q, kept_.most_k, 0.0, causal_, kept_.seed, kept_.offset, scale_);
    return {by_head(dq), by_head(dk), by_head(dv)};
  }

 private:
  bool causal_;
  std::optional<double> scale_;
  Kept kept_;
};

/// Texts side by side.
class TextsPass : public AttentionPass {
 public:
  TextsPass(const Tensor& q, const Tensor& k, const Tensor& v, const Texts& texts, const ScoreRule& rule) : texts_(texts), scale_(rule.scale) {
    const auto [out, lse, seed, offset, debug] = at::_flash_attention_forward(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), texts.starts, texts.starts, texts.longest,
                                                                              texts.longest, 0.0, /*is_causal=*/true, /*return_debug_mask=*/false, scale_);
    out_ = out.view(q.sizes()), lse_ = lse, seed_ = seed, offset_ = offset;
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const auto [dq, dk, dv] = at::_flash_attention_backward(grad.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), out_.flatten(0, 1), lse_, texts_.starts,
                                                            texts_.starts, texts_.longest, texts_.longest, 0.0, /*is_causal=*/true, seed_, offset_, scale_);
    return {dq.view(q.sizes()), dk.view(k.sizes()), dv.view(v.sizes())};
  }

 private:
  Texts texts_;
  std::optional<double> scale_;
  Tensor lse_, seed_, offset_;
};

/// Any other kind, on a tape of its own.
class TapePass : public AttentionPass {
 public:
  TapePass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
    at::AutoGradMode on(true);
    for (const Tensor& x : {q, k, v}) inputs_.push_back(x.detach().requires_grad_(true));
    taped_ = attention(inputs_[0], inputs_[1], inputs_[2], mask, rule);
    out_ = taped_.detach().view(q.sizes());
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor&, const Tensor&, const Tensor&) const override {
    const auto grads = torch::autograd::grad({taped_}, inputs_, {grad.reshape(taped_.sizes())});
    return {grads[0], grads[1], grads[2]};
  }

 private:
  std::vector<Tensor> inputs_;
  Tensor taped_;
};

}  // namespace

std::unique_ptr<AttentionPass> attention_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  if (q.is_cuda() && mask.texts.starts.defined()) return std::make_unique<TextsPass>(q, k, v, mask.texts, rule);
  if (!q.is_cuda() || rule.cap > 0 || mask.allowed.defined()) return std::make_unique<TapePass>(q, k, v, mask, rule);
  const auto choice = static_cast<at::SDPBackend>(
      at::_fused_sdp_choice(by_head(q), by_head(k), by_head(v), {}, 0.0, mask.causal, rule.scale, /*enable_gqa=*/q.size(2) != k.size(2)));
  if (choice == at::SDPBackend::cudnn_attention) return std::make_unique<CudnnPass>(q, k, v, mask, rule);
  if (choice == at::SDPBackend::flash_attention) return std::make_unique<FlashPass>(q, k, v, mask, rule);
  return std::make_unique<TapePass>(q, k, v, mask, rule);
}

}  // namespace graft
