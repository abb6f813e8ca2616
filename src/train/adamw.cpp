#include "graft/train/adamw.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"

namespace graft {
namespace {

constexpr int64_t alignment = 64;   // elements: every parameter begins where vectors of any kernel may

int64_t room_for(const Tensor& tensor) { return (tensor.numel() + alignment - 1) / alignment * alignment; }

}  // namespace

AdamW::AdamW(std::vector<OptimizedParameter> parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  at::NoGradGuard no_grad;
  check(!parameters_.empty(), "an optimizer without parameters");
  const auto like = parameters_.front().tensor.options();
  std::map<double, std::vector<size_t>> of_scale;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& p = parameters_[i];
    check(p.tensor.scalar_type() == at::kFloat || p.tensor.scalar_type() == at::kDouble, "{}: trains in {}, expected fp32", p.name,
          at::toString(p.tensor.scalar_type()));
    check(p.tensor.dtype() == like.dtype() && p.tensor.device() == like.device(), "{}: its neighbours are of another type or on another device", p.name);
    of_scale[p.lr_scale].push_back(i);
  }
  places_.resize(parameters_.size());
  int64_t length = 0;
  for (const auto& [scale, members] : of_scale) {
    const int64_t begin = length;
    for (const size_t i : members) {
      places_[i] = {length, length + parameters_[i].tensor.numel()};
      length += room_for(parameters_[i].tensor);
    }
    groups_[scale] = {begin, length};
  }
  values_ = at::zeros({length}, like.requires_grad(false));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor own = view(values_, i).copy_(parameters_[i].tensor);
    parameters_[i].tensor.set_data(own);
  }
  gradients_ = at::zeros_like(values_), average_ = at::zeros_like(values_), square_ = at::zeros_like(values_);
  steps_ = at::zeros({}, values_.options().dtype(at::kFloat));
  gather_gradients();
}

Tensor AdamW::view(const Tensor& flat, size_t i) const {
  return flat.slice(0, places_[i].begin, places_[i].end).view(parameters_[i].tensor.sizes());
}

/// Whatever put a gradient elsewhere, or dropped it.
void AdamW::gather_gradients() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& grad = parameters_[i].tensor.mutable_grad();
    const Tensor own = view(gradients_, i);
    if (grad.defined() && grad.const_data_ptr() == own.const_data_ptr() && grad.is_contiguous()) continue;
    grad.defined() ? Tensor(own).copy_(grad) : Tensor(own).zero_();
    grad = own;
  }
}

Tensor AdamW::step(double learning_rate, const GradientRule& rule) {
  at::NoGradGuard no_grad;
  gather_gradients();
  const Tensor norm = at::linalg_vector_norm(gradients_, 2).to(at::kFloat) / rule.loss_scale;
  const Tensor sum = rule.loss.defined() ? norm + rule.loss.to(at::kFloat) : norm;
  const Tensor bad = sum.isfinite().logical_not().to(at::kFloat);
  const Tensor divisor = rule.max_norm > 0 ? ((norm + 1e-6) / rule.max_norm).clamp_min_(1).mul_(rule.loss_scale) : at::full_like(norm, rule.loss_scale);
  steps_.add_(1 - bad);
  for (const auto& [scale, range] : groups_) {
    const auto part = [&, range = range](const Tensor& flat) { return flat.slice(0, range.begin, range.end); };
    at::_fused_adamw_({part(values_)}, {part(gradients_)}, {part(average_)}, {part(square_)}, {}, {steps_}, learning_rate * scale, options_.beta1,
                      options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false, divisor, bad);
  }
  return norm;
}

void AdamW::zero_grad() {
  gather_gradients();
  gradients_.zero_();
}

TensorMap AdamW::state() const {
  TensorMap state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    state[name + ".exp_avg"] = view(average_, i);
    state[name + ".exp_avg_sq"] = view(square_, i);
    state[name + ".step"] = steps_;
  }
  return state;
}

void AdamW::load_state(const TensorMap& state) {
  at::NoGradGuard no_grad;
  const TensorMap live = this->state();
  ErrorList errors;
  for (const auto& [name, tensor] : live)
    if (const auto it = state.find(name); it == state.end())
      errors.add("missing: {}", name);
    else if (it->second.sizes() != tensor.sizes())
      errors.add("{}: another shape", name);
  for (const auto& [name, tensor] : state)
    if (!live.contains(name)) errors.add("unexpected: {}", name);
  errors.raise("the optimizer's state does not fit:");
  for (const auto& [name, tensor] : live) Tensor(tensor).copy_(state.at(name));
}

}  // namespace graft
