#include "graft/ops/attention_pass.h"

#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>
#include <torch/csrc/autograd/autograd.h>

#include "graft/kernels/attention.h"
#include "graft/ops/launch.h"

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

/// By graft's own kernels: rows that are one text each, or texts side by side.
class TilesPass : public AttentionPass {
 public:
  TilesPass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) : texts_(mask.texts.bounds), scale_(rule.scale) {
    out_ = at::empty(q.sizes(), q.options());
    lse_ = at::empty({q.size(2), q.size(0) * q.size(1)}, q.options().dtype(at::kFloat));
    kernels::attention_cuda(given(q, k, v), matrix_of(by_token(out_)), lse_.mutable_data_ptr<float>(), real_type(q), current_stream(q));
  }

  static bool takes(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
    constexpr int64_t most_group = 8;   // the blocks of a cluster on every GPU that has them
    const int64_t dim = q.size(3);
    const auto lies_well = [&](const Tensor& x) { return in_eights(x.select(0, 0)) && x.stride(2) == dim && x.stride(0) == x.size(1) * x.stride(1); };
    return q.is_cuda() && in_sixteen_bits(q) && kernels::cuda_compute_capability(q.device().index()) == 90 && rule.cap == 0 && !mask.allowed.defined() && (dim == 64 || dim == 128) &&
           q.size(2) % k.size(2) == 0 && q.size(2) <= most_group * k.size(2) && lies_well(q) && lies_well(k) && lies_well(v) && is_fastest(q, k, mask);
  }

  std::array<Tensor, 3> backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v) const override {
    const int64_t tokens = q.size(0) * q.size(1), own = k.size(2), heads = q.size(2);
    const Tensor all = at::empty({tokens, (heads + 2 * own) * q.size(3)}, q.options()), by_head = all.view({q.size(0), q.size(1), heads + 2 * own, q.size(3)});
    backward_into(grad, q, k, v, {}, all);
    return {by_head.narrow(2, 0, heads), by_head.narrow(2, heads, own), by_head.narrow(2, heads + own, own)};
  }
  void backward_into(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Rotation& rotation, const Tensor& out) const override {
    const int64_t width = q.size(2) * q.size(3), own = k.size(2) * k.size(3);
    const Tensor room = at::empty_like(lse_);
    kernels::TextAttentionBack back{matrix_of(by_token(out_)), matrix_of(by_token(grad)), lse_.const_data_ptr<float>(), room.mutable_data_ptr<float>()};
    if (rotation.cosine.defined()) back.cosine = rotation.cosine.const_data_ptr<float>(), back.sine = rotation.sine.const_data_ptr<float>();
    back.dq = matrix_of(out.narrow(1, 0, width)), back.dk = matrix_of(out.narrow(1, width, own)), back.dv = matrix_of(out.narrow(1, width + own, own));
    kernels::attention_backward_cuda(given(q, k, v), back, real_type(q), current_stream(q));
  }

 private:
  /// Texts side by side; rows of one text where cuDNN is slower, or may not be taken (docs/performance.md).
  static bool is_fastest(const Tensor& q, const Tensor& k, const AttentionMask& mask) {
    constexpr int64_t longest_row = 2048;
    if (mask.texts.starts.defined()) return mask.texts.bounds.defined();
    return mask.causal && q.size(1) == k.size(1) && (at::globalContext().deterministicAlgorithms() || (q.size(3) == 64 && q.size(1) <= longest_row));
  }
  kernels::TextAttention given(const Tensor& q, const Tensor& k, const Tensor& v) const {
    const int64_t tokens = q.size(0) * q.size(1);
    return {matrix_of(by_token(q)), matrix_of(by_token(k)), matrix_of(by_token(v)), texts_.defined() ? texts_.const_data_ptr<int32_t>() : nullptr, tokens,
            texts_.defined() ? tokens : q.size(1), q.size(2), k.size(2), q.size(3), static_cast<float>(scale_.value_or(1 / std::sqrt(static_cast<double>(q.size(3)))))};
  }

  Tensor texts_, lse_;
  std::optional<double> scale_;
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

Tensor by_token(const Tensor& x) {
  const int64_t tokens = x.size(0) * x.size(1), columns = x.size(2) * x.size(3);
  const bool in_rows = x.stride(3) == 1 && x.stride(2) == x.size(3) && (x.size(0) == 1 || x.stride(0) == x.stride(1) * x.size(1));
  return in_rows ? x.as_strided({tokens, columns}, {x.stride(1), 1}) : x.reshape({tokens, columns});
}

void AttentionPass::backward_into(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Rotation& rotation, const Tensor& out) const {
  const auto [dq, dk, dv] = backward(grad, q, k, v);
  rotate_into(by_token(dq), by_token(dk), by_token(dv), q.size(3), {}, rotation, /*inverse=*/true, out);
}

std::unique_ptr<AttentionPass> attention_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  if (TilesPass::takes(q, k, v, mask, rule)) return std::make_unique<TilesPass>(q, k, v, mask, rule);
  if (q.is_cuda() && mask.texts.starts.defined()) return std::make_unique<TextsPass>(q, k, v, mask.texts, rule);
  if (!q.is_cuda() || rule.cap > 0 || mask.allowed.defined()) return std::make_unique<TapePass>(q, k, v, mask, rule);
  const auto choice = static_cast<at::SDPBackend>(
      at::_fused_sdp_choice(by_head(q), by_head(k), by_head(v), {}, 0.0, mask.causal, rule.scale, /*enable_gqa=*/q.size(2) != k.size(2)));
  if (choice == at::SDPBackend::cudnn_attention) return std::make_unique<CudnnPass>(q, k, v, mask, rule);
  if (choice == at::SDPBackend::flash_attention) return std::make_unique<FlashPass>(q, k, v, mask, rule);
  return std::make_unique<TapePass>(q, k, v, mask, rule);
}

}  // namespace graft
