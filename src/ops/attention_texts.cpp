#include <ATen/ATen.h>

#include "attention_passes.h"
#include "joined_attention.h"

namespace graft {
namespace {

/// What both of flash attention's operators return beside the output.
struct FlashKept {
  Tensor lse, seed, offset;
};

/// Texts side by side; what they share is seen in a pass of its own.
class TextsPass : public AttentionPass {
 public:
  TextsPass(const Tensor& q, const Tensor& k, const Tensor& v, const Texts& texts, const ScoreRule& rule) : texts_(texts), scale_(rule.scale) {
    const auto [out, lse, seed, offset, debug] = at::_flash_attention_forward(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), texts.starts, texts.starts, texts.longest,
                                                                              texts.longest, 0.0, /*is_causal=*/true, /*return_debug_mask=*/false, scale_);
    out_ = out.view(q.sizes()), own_ = {lse, seed, offset};
    if (texts_.shared > 0) see_shared(q, k, v);
  }
  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const auto [dq, dk, dv] = at::_flash_attention_backward(grad.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), out_.flatten(0, 1), own_.lse, texts_.starts,
                                                            texts_.starts, texts_.longest, texts_.longest, 0.0, /*is_causal=*/true, own_.seed, own_.offset, scale_);
    const std::array<Tensor, 3> all{dq.view(q.sizes()), dk.view(k.sizes()), dv.view(v.sizes())};
    if (texts_.shared > 0) add_shared(grad, q, k, v, all);
    return all;
  }

 private:
  void see_shared(const Tensor& q, const Tensor& k, const Tensor& v) {
    const int64_t shared = texts_.shared;
    const auto [out, lse, seed, offset, debug] = at::_flash_attention_forward(behind(q, shared), before(k, shared), before(v, shared), {}, {}, q.size(1) - shared, shared, 0.0,
                                                                              /*is_causal=*/false, /*return_debug_mask=*/false, scale_);
    shared_ = {lse, seed, offset};
    join_attention({behind(out_, shared), behind(by_query(own_.lse, q), shared)}, {out, lse.transpose(1, 2)});
  }
  void add_shared(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const std::array<Tensor, 3>& to) const {
    const int64_t shared = texts_.shared;
    const Tensor lse = behind(by_query(own_.lse, q), shared).transpose(1, 2).contiguous();
    const auto [dq, dk, dv] = at::_flash_attention_backward(behind(grad, shared), behind(q, shared), before(k, shared), before(v, shared), behind(out_, shared), lse, {}, {},
                                                            q.size(1) - shared, shared, 0.0, /*is_causal=*/false, shared_.seed, shared_.offset, scale_);
    behind(to[0], shared).add_(dq), before(to[1], shared).add_(dk), before(to[2], shared).add_(dv);
  }

  Texts texts_;
  std::optional<double> scale_;
  FlashKept own_, shared_;
};

}  // namespace

std::unique_ptr<AttentionPass> texts_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  return std::make_unique<TextsPass>(q, k, v, mask.texts, rule);
}

}  // namespace graft
