#include "graft/ops/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/recompute.h"

namespace graft {
namespace {

at::ScalarType wide_type(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

template <class F>
void for_chunks(int64_t rows, F&& f) {
  for (int64_t begin = 0; begin < rows; begin += loss_chunk_rows) f(begin, std::min(rows, begin + loss_chunk_rows));
}

/// The gradient is made in the forward pass, where the logits are: d loss / d logits = softmax - one_hot.
class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& hidden, const FrozenHead* head, const Tensor& targets,
                        double scale) {
    const bool wants_gradient = hidden.requires_grad();
    Tensor loss = at::zeros({}, hidden.options().dtype(wide_type(hidden)));
    Tensor gradient = wants_gradient ? at::empty_like(hidden) : Tensor();
    for_chunks(hidden.size(0), [&](int64_t begin, int64_t end) {
      const Tensor target = targets.slice(0, begin, end).unsqueeze(1);
      Tensor log_p = at::log_softmax(head->logits(hidden.slice(0, begin, end)).to(wide_type(hidden)), 1);
      loss -= log_p.gather(1, target).sum() * scale;
      if (!wants_gradient) return;
      Tensor d = log_p.exp_();
      d.scatter_add_(1, target, at::full_like(target, -1, d.options()));
      gradient.slice(0, begin, end).copy_(head->gradient(d.mul_(scale).to(hidden.scalar_type())));
    });
    if (wants_gradient) context->save_for_backward({gradient});
    return loss;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const Tensor gradient = context->get_saved_variables()[0];
    return {gradient * grads[0].to(gradient.scalar_type()), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const FrozenHead& head, const Tensor& targets, double scale) {
  return LinearCrossEntropy::apply(hidden, &head, targets, scale);
}

Tensor chunked_cross_entropy(const Tensor& hidden, const RowsHead& head, const Tensor& targets, double scale) {
  Tensor loss = at::zeros({}, hidden.options().dtype(wide_type(hidden)));
  for_chunks(hidden.size(0), [&](int64_t begin, int64_t end) {
    const Tensor target = targets.slice(0, begin, end);
    const auto chunk_loss = [head, target, scale, begin](const Tensor& h) {
      return at::nll_loss(at::log_softmax(head(h, begin).to(wide_type(h)), 1), target, {}, at::Reduction::Sum) * scale;
    };
    loss = loss + recompute(hidden.slice(0, begin, end), chunk_loss);
  });
  return loss;
}

TokenScores token_scores(const Tensor& hidden, const RowsHead& head, const Tensor& targets) {
  at::NoGradGuard no_grad;
  std::vector<Tensor> log_probability, correct;
  for_chunks(hidden.size(0), [&](int64_t begin, int64_t end) {
    const Tensor target = targets.slice(0, begin, end);
    const Tensor log_p = at::log_softmax(head(hidden.slice(0, begin, end), begin).to(at::kFloat), 1);
    log_probability.push_back(log_p.gather(1, target.unsqueeze(1)).squeeze(1));
    correct.push_back(log_p.argmax(1).eq(target));
  });
  if (log_probability.empty()) return {at::zeros({0}), at::zeros({0}, at::kBool)};
  return {at::cat(log_probability), at::cat(correct)};
}

}  // namespace graft
