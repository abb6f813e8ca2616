#include "graft/train/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "graft/core/error.h"
#include "graft/kernels/api.h"

namespace graft {
namespace {

/// Elements: every parameter begins where vectors of any kernel may, or a block of codes.
int64_t alignment(MomentStorage moments) { return moments == MomentStorage::fp32 ? 64 : kernels::moment_block; }

}  // namespace

AdamW::AdamW(std::vector<OptimizedParameter> parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  at::NoGradGuard no_grad;
  check(!parameters_.empty(), "an optimizer without parameters");
  const auto like = parameters_.front().tensor.options();
  for (const auto& p : parameters_) {
    check(p.tensor.scalar_type() == at::kFloat || p.tensor.scalar_type() == at::kDouble, "{}: trains in {}, expected fp32", p.name,
          at::toString(p.tensor.scalar_type()));
    check(p.tensor.dtype() == like.dtype() && p.tensor.device() == like.device(), "{}: its neighbours are of another type or on another device", p.name);
  }
  lay_out();
  values_ = at::zeros({length_}, like.requires_grad(false));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor own = view(values_, i).copy_(parameters_[i].tensor);
    parameters_[i].tensor.set_data(own);
  }
  gradients_ = at::zeros_like(values_);
  average_ = at::zeros({begin_8bit_}, values_.options()), square_ = at::zeros_like(average_);
  moments8_ = zero_moments8(length_ - begin_8bit_, values_.device());
  steps_ = at::zeros({}, values_.options().dtype(at::kFloat));
  gather_gradients();
}

MomentStorage AdamW::moments_of(const OptimizedParameter& parameter) const {
  const bool large = parameter.tensor.numel() >= fewest_8bit && parameter.tensor.scalar_type() == at::kFloat;
  return large ? options_.moments : MomentStorage::fp32;
}

/// Each parameter's place: fp32 moments first, then by lr_scale.
void AdamW::lay_out() {
  std::map<std::pair<MomentStorage, double>, std::vector<size_t>> members;
  for (size_t i = 0; i < parameters_.size(); ++i) members[{moments_of(parameters_[i]), parameters_[i].lr_scale}].push_back(i);
  places_.resize(parameters_.size());
  const auto align = [&](MomentStorage moments) { length_ = (length_ + alignment(moments) - 1) / alignment(moments) * alignment(moments); };
  for (const auto& [kind, indices] : members) {
    align(kind.first);
    const int64_t begin = length_;
    for (const size_t i : indices) {
      places_[i] = {length_, length_ + parameters_[i].tensor.numel()};
      length_ = places_[i].end;
      align(kind.first);
    }
    groups_.push_back({kind.first, kind.second, {begin, length_}});
  }
  const auto first = std::ranges::find(groups_, MomentStorage::dynamic8, &Group::moments);
  begin_8bit_ = first == groups_.end() ? length_ : first->place.begin;
}

/// Of a tensor that holds the flat one's numbers from `origin` on.
Tensor AdamW::view(const Tensor& flat, size_t i, int64_t origin) const {
  return flat.slice(0, places_[i].begin - origin, places_[i].end - origin).view(parameters_[i].tensor.sizes());
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
  for (const auto& [moments, scale, range] : groups_) {
    const auto part = [&, range = range](const Tensor& flat) { return flat.slice(0, range.begin, range.end); };
    const double rate = learning_rate * scale;
    if (moments == MomentStorage::dynamic8)
      adamw_8bit(part(values_), part(gradients_), moments8_.slice(range.begin - begin_8bit_, range.end - begin_8bit_),
                 {rate, options_.beta1, options_.beta2, options_.epsilon, options_.weight_decay, steps_, divisor, bad});
    else
      at::_fused_adamw_({part(values_)}, {part(gradients_)}, {part(average_)}, {part(square_)}, {}, {steps_}, rate, options_.beta1, options_.beta2,
                        options_.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false, divisor, bad);
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
    state[name + ".step"] = steps_;
    if (moments_of(parameters_[i]) == MomentStorage::fp32) {
      state[name + ".exp_avg"] = view(average_, i), state[name + ".exp_avg_sq"] = view(square_, i);
      continue;
    }
    const auto blocks = [&](const Tensor& of) {
      return of.slice(0, (places_[i].begin - begin_8bit_) / kernels::moment_block, (places_[i].end - begin_8bit_ - 1) / kernels::moment_block + 1);
    };
    state[name + ".exp_avg"] = view(moments8_.average, i, begin_8bit_), state[name + ".exp_avg_sq"] = view(moments8_.square, i, begin_8bit_);
    state[name + ".exp_avg.absmax"] = blocks(moments8_.average_max), state[name + ".exp_avg_sq.absmax"] = blocks(moments8_.square_max);
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
