#include <ATen/ATen.h>

#include "attention_passes.h"
#include "graft/kernels/attention.h"
#include "graft/ops/launch.h"

namespace graft {
namespace {

class TilesPass : public AttentionPass {
 public:
  TilesPass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) : texts_(mask.texts.bounds), shared_(mask.texts.shared), scale_(rule.scale_of(q.size(3))) {
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
    if (mask.texts.starts.defined()) return mask.texts.bounds.defined() && (mask.texts.shared == 0 || q.size(0) == 1);
    return mask.causal && q.size(1) == k.size(1) && (at::globalContext().deterministicAlgorithms() || (q.size(3) == 64 && q.size(1) <= longest_row));
  }
  kernels::TextAttention given(const Tensor& q, const Tensor& k, const Tensor& v) const {
    const int64_t tokens = q.size(0) * q.size(1);
    return {matrix_of(by_token(q)), matrix_of(by_token(k)), matrix_of(by_token(v)), texts_.defined() ? texts_.const_data_ptr<int32_t>() : nullptr, tokens,
            texts_.defined() ? tokens : q.size(1), q.size(2), k.size(2), q.size(3), static_cast<float>(scale_), shared_};
  }

  Tensor texts_, lse_;
  int64_t shared_;
  double scale_;
};

}  // namespace

std::unique_ptr<AttentionPass> tiles_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  if (!TilesPass::takes(q, k, v, mask, rule)) return nullptr;
  return std::make_unique<TilesPass>(q, k, v, mask, rule);
}

}  // namespace graft
