#include "graft/ops/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"
#include "graft/ops/recompute.h"

namespace graft {
namespace {

template <class F>
void for_chunks(int64_t rows, F&& f) {
  for (int64_t begin = 0; begin < rows; begin += loss_chunk_rows) f(begin, std::min(rows, begin + loss_chunk_rows));
}

/// Each row's loss; its logits become their gradient: softmax - what is right.
Tensor losses_in_place(Tensor& logits, const Tensor& targets, double smoothing) {
  Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  const int64_t columns = logits.size(1), *target = targets.const_data_ptr<int64_t>();
  auto* const loss = losses.mutable_data_ptr<float>();
  const auto share = static_cast<float>(smoothing);
  if (logits.is_cuda()) {
    kernels::cross_entropy_cuda(logits.mutable_data_ptr(), real_type(logits), logits.size(0), columns, target, share, loss, current_stream(logits));
    return losses;
  }
  for_rows(logits.size(0), columns, [&](int64_t begin, int64_t end) {
    kernels::cross_entropy_cpu(row_of(logits, begin, columns), real_type(logits), end - begin, columns, target + begin, share, loss + begin);
  });
  return losses;
}

/// The same; what no kernel takes goes by the readable text.
Tensor row_losses(Tensor& logits, const Tensor& targets, double smoothing) {
  if ((has_gpu_kernel(logits) || has_cpu_kernel(logits)) && logits.is_contiguous()) return losses_in_place(logits, targets, smoothing);
  const Tensor target = targets.clamp_min(0).unsqueeze(1), nothing = targets.lt(0);
  Tensor log_p = at::log_softmax(logits.to(wide_type(logits)), 1);
  const double each = smoothing / static_cast<double>(logits.size(1));
  Tensor losses = log_p.gather(1, target).neg_().squeeze(1);
  if (smoothing > 0) losses = losses * (1 - smoothing) - log_p.sum(1) * each;
  Tensor d = log_p.exp_();
  if (smoothing > 0) d.sub_(each);
  d.scatter_add_(1, target, at::full_like(target, smoothing - 1, d.options()));
  if (nothing.any().item<bool>()) losses.masked_fill_(nothing, 0), d.masked_fill_(nothing.unsqueeze(1), 0);
  logits = d.to(logits.scalar_type());
  return losses;
}

/// The gradient is made in the forward pass, where the logits are.
class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& hidden, const FrozenHead* head, const Tensor& targets,
                        double scale, double smoothing) {
    const bool wants_gradient = hidden.requires_grad();
    Tensor gradient = wants_gradient ? at::empty_like(hidden) : Tensor();
    std::vector<Tensor> losses;
    for_chunks(hidden.size(0), [&](int64_t begin, int64_t end) {
      Tensor logits = head->logits(hidden.slice(0, begin, end));
      losses.push_back(row_losses(logits, targets.slice(0, begin, end), smoothing));
      if (wants_gradient) gradient.slice(0, begin, end).copy_(head->gradient(logits));
    });
    if (wants_gradient) context->save_for_backward({gradient});
    context->saved_data["scale"] = scale;
    return losses.empty() ? at::zeros({}, hidden.options().dtype(wide_type(hidden))) : at::cat(losses).sum() * scale;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const Tensor gradient = context->get_saved_variables()[0], factor = grads[0] * context->saved_data["scale"].toDouble();
    Tensor scaled = at::empty_like(gradient);
    at::mul_out(scaled, gradient, factor.view({1}));   // in fp32: one number would be rounded to the gradient's type first
    return {scaled, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const FrozenHead& head, const Tensor& targets, double scale, double smoothing) {
  return LinearCrossEntropy::apply(hidden, &head, targets, scale, smoothing);
}

Tensor chunked_cross_entropy(const Tensor& hidden, const RowsHead& head, const Tensor& targets, double scale, double smoothing) {
  Tensor loss = at::zeros({}, hidden.options().dtype(wide_type(hidden)));
  for_chunks(hidden.size(0), [&](int64_t begin, int64_t end) {
    const Tensor target = targets.slice(0, begin, end);
    const auto chunk_loss = [head, target, scale, smoothing, begin](const Tensor& h) {
      return at::cross_entropy_loss(head(h, begin).to(wide_type(h)), target, {}, at::Reduction::Sum, -100, smoothing) * scale;
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
