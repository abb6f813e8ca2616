#include "graft/train/adamw.h"

#include <ATen/ATen.h>

#include <map>

#include "graft/core/error.h"

namespace graft {

AdamW::AdamW(std::vector<OptimizedParameter> parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  for (const auto& p : parameters_) {
    check(p.tensor.scalar_type() == at::kFloat || p.tensor.scalar_type() == at::kDouble, "{}: trains in {}, expected fp32", p.name,
          at::toString(p.tensor.scalar_type()));
    average_.push_back(at::zeros_like(p.tensor));
    square_.push_back(at::zeros_like(p.tensor));
    steps_.push_back(at::zeros({}, at::TensorOptions(at::kFloat).device(p.tensor.device())));
  }
}

std::vector<Tensor> AdamW::gradients() const {
  std::vector<Tensor> all;
  for (const auto& p : parameters_)
    if (p.tensor.grad().defined()) all.push_back(p.tensor.grad());
  return all;
}

void AdamW::step(double learning_rate) {
  at::NoGradGuard no_grad;
  struct Group {
    std::vector<Tensor> values, gradients, average, square, steps;
  };
  std::map<double, Group> groups;   // by lr_scale: one call each
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& p = parameters_[i];
    if (!p.tensor.grad().defined()) continue;
    Group& group = groups[p.lr_scale];
    group.values.push_back(p.tensor), group.gradients.push_back(p.tensor.grad());
    group.average.push_back(average_[i]), group.square.push_back(square_[i]), group.steps.push_back(steps_[i]);
  }
  for (auto& [scale, group] : groups) {
    at::_foreach_add_(group.steps, 1);
    at::_fused_adamw_(group.values, group.gradients, group.average, group.square, {}, group.steps, learning_rate * scale, options_.beta1,
                      options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

void AdamW::zero_grad() {
  for (auto& p : parameters_) p.tensor.mutable_grad().reset();
}

TensorMap AdamW::state() const {
  TensorMap state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    state[name + ".exp_avg"] = average_[i];
    state[name + ".exp_avg_sq"] = square_[i];
    state[name + ".step"] = steps_[i];
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

double AdamW::clip(double max_norm) {
  at::NoGradGuard no_grad;
  auto all = gradients();
  if (all.empty()) return 0;
  const auto norms = at::_foreach_norm(all, 2);
  const double norm = at::stack(norms).norm().item<double>();
  if (max_norm > 0 && norm > max_norm) at::_foreach_mul_(all, max_norm / (norm + 1e-6));
  return norm;
}

void AdamW::scale_gradients(double factor) {
  at::NoGradGuard no_grad;
  auto all = gradients();
  if (!all.empty() && factor != 1) at::_foreach_mul_(all, factor);
}

}  // namespace graft
