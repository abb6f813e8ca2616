#include "graft/ops/attention_pass.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "attention_passes.h"

namespace graft {
namespace {

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

struct PassHolder : torch::CustomClassHolder {
  explicit PassHolder(std::unique_ptr<AttentionPass> p) : pass(std::move(p)) {}
  std::unique_ptr<AttentionPass> pass;
};

class PassNode : public torch::autograd::Function<PassNode> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
    auto holder = c10::make_intrusive<PassHolder>(attention_pass(q, k, v, mask, rule));
    const Tensor out = holder->pass->out().flatten(2);
    context->save_for_backward({q, k, v});
    context->saved_data["pass"] = c10::IValue::make_capsule(std::move(holder));
    return out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto holder = c10::static_intrusive_pointer_cast<PassHolder>(context->saved_data["pass"].toCapsule());
    const auto saved = context->get_saved_variables();
    const auto [dq, dk, dv] = holder->pass->backward(grads[0].contiguous().view(saved[0].sizes()), saved[0], saved[1], saved[2]);
    return {dq, dk, dv, Tensor(), Tensor()};
  }
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
  if (auto pass = tiles_pass(q, k, v, mask, rule)) return pass;
  if (q.is_cuda() && mask.texts.starts.defined()) return texts_pass(q, k, v, mask, rule);
  if (q.is_cuda() && rule.cap == 0 && !mask.allowed.defined())
    if (auto pass = rows_pass(q, k, v, mask, rule)) return pass;
  return std::make_unique<TapePass>(q, k, v, mask, rule);
}

Tensor attention_by_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  return PassNode::apply(q, k, v, mask, rule);
}

}  // namespace graft
