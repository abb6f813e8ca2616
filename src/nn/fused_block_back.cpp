// The backward pass of a fused block.
#include <ATen/ATen.h>

#include "block_tape.h"
#include "graft/ops/gate_updates.h"
#include "graft/ops/launch.h"
#include "graft/ops/norm.h"

namespace graft {
namespace {

/// Undefined where nothing is folded in: then nobody asks for the input again.
Tensor input_again(const FoldedLinears& linears, int64_t rows, const Folded& folded, const Tensor& like) {
  return folded.pad > 0 ? at::empty({rows, linears.in()}, like.options()) : Tensor();
}

/// Whether a layer's output goes to the residuals as it is.
bool goes_straight(const Folded& folded, const RmsNorm* norm) { return !folded.gain.defined() && !norm; }

}  // namespace

void FusedBlock::make_gate_up_again(Tape& t) const {
  const Tensor input = gate_up_.input(t.middle.size(0), t.gate_up_folded, t.middle);
  rms_norm_into(t.middle, {}, parts_.before_mlp->gain(), parts_.before_mlp->eps(), {}, input, t.second_rstd, gate_up_.codes_of_next(t.gate_up_folded));
  if (t.gate_up_folded.pad > 0) copy_rows(t.gate_up_narrow, beside(input, t.gate_up_folded.pad));
  gate_up_.ready(t.gate_up_folded);
  make_gate_up(input, t);
}

void FusedBlock::add_factor_gradients(Tape& t, FactorWork work) const {
  if (work.folded->pad == 0) return;
  t.factor_work.push_back(std::move(work));
  int64_t bytes = 0;
  for (const FactorWork& waiting : t.factor_work)
    for (const Tensor& x : {waiting.g, waiting.x})
      if (x.defined()) bytes += static_cast<int64_t>(x.nbytes());
  if (bytes > little_factor_work || !t.x.is_cuda()) begin_factor_work(t);
}

void FusedBlock::begin_factor_work(Tape& t) const {
  std::vector<FactorWork> all = std::exchange(t.factor_work, {});
  if (all.empty()) return;
  std::vector<Tensor> held;
  for (const FactorWork& work : all)
    for (const Tensor& x : {work.g, work.x, work.narrow_x, work.sums.a, work.sums.b}) held.push_back(x);
  between_->side.begin(std::move(held), [&] { FoldedLinears::add_factor_gradients(all); });
}

/// The gradient that came from the block above has room already, and may have been written in 8 bits, too.
Tensor FusedBlock::with_room(const Tensor& grad, Folded& folded) const {
  const Tensor handed = std::exchange(between_->gradient, Tensor());
  const Fp8Rows codes = std::exchange(between_->gradient_codes, {});
  const bool same = handed.defined() && handed.const_data_ptr() == grad.const_data_ptr() && handed.sizes() == grad.sizes() && handed.strides() == grad.strides();
  if (same && mlp_output_.codes_of_next(folded)) folded.codes = codes;
  if (folded.pad == 0 || (same && grad.stride(0) >= grad.size(1) + folded.pad)) return grad;
  const Tensor room = mlp_output_.gradient(grad.size(0), folded, grad);
  copy_rows(grad, room);
  return room;
}

/// The gradient of a product that gains or a norm change on its way to the residuals, with room beside it.
Tensor FusedBlock::before_output(const FoldedLinears& linears, const OutputTape& output, const RmsNorm* norm, const Tensor& grad, const Folded& folded) const {
  const Tensor product = linears.gradient(grad.size(0), folded, grad);
  if (norm) rms_norm_backward_into(grad, output.y, norm->gain(), output.rstd, {}, product, {});
  if (folded.gain.defined()) linears.before_gains(norm ? product : grad, output.y, folded, product);
  return product;
}

/// What its backward pass makes besides d_gate_up for the updates before and behind it: the product again, or sums over it and over the gradients.
struct FusedBlock::FromGate {
  Tensor product;
  FactorSums down, gate_up;
};

FusedBlock::FromGate FusedBlock::back_through_gate(Tape& t, const Tensor& d_down, const Tensor& d_product, const Tensor& d_gate_up) const {
  const bool gains = t.gate_up_folded.gain.defined();
  if (!gains && gate_up_.has_one_update_each(t.gate_up_folded, most_gate_rank) && mlp_output_.has_one_update_each(t.down_folded, most_gate_rank)) {
    gate_up_.ready(t.gate_up_folded);
    const std::vector<kernels::Update>& at = t.gate_up_folded.at;
    const GateUpdates updates{beside(d_down, most_gate_rank), t.gate_up_narrow, gate_up_.factors_b(t.gate_up_folded), {at.front().row, at.back().row}};
    const Tensor narrow = beside(d_gate_up, t.gate_up_folded.pad);
    if (gate_takes_updates({d_product, t.gate_up, d_gate_up, updates.product, updates.gate_up, updates.factors, narrow}, mlp_output_.in())) {
      const GateSums sums = gated_backward_updates_into(d_product, t.gate_up, parts_.activation, updates, d_gate_up, narrow);
      t.gate_up_folded.narrow_made = true;
      return {{}, {.a = sums.product}, {.b = sums.gradients.transpose(1, 2)}};
    }
  }
  const Tensor product = t.down_folded.pad > 0 ? d_product : Tensor();   // takes the place of what it is made from
  gated_backward_into(d_product, t.gate_up, parts_.activation, d_gate_up, product, gains ? nullptr : gate_up_.codes_of_next(t.gate_up_folded));
  if (gains) gate_up_.before_gains(d_gate_up, t.gate_up, t.gate_up_folded, d_gate_up);
  return {product, {}, {}};
}

/// Through the feed-forward: the gradient of the residuals in the middle, with room beside it for the attention's output layer.
Tensor FusedBlock::back_to_middle(Tape& t, const Tensor& grad) const {
  const int64_t tokens = t.x.size(0);
  const bool straight = goes_straight(t.down_folded, parts_.after_mlp);
  Tensor d_down = straight ? with_room(grad, t.down_folded) : before_output(mlp_output_, t.down, parts_.after_mlp, grad, t.down_folded);
  between_->gradient.reset(), between_->gradient_codes = {};
  t.down = {};
  if (!t.gate_up.defined()) make_gate_up_again(t);
  Tensor d_product = at::empty({tokens, mlp_output_.in()}, t.x.options());
  mlp_output_.input_gradient(d_down, t.down_folded, d_product);
  if (t.down_folded.in_gain.defined()) {
    const Tensor ungained = at::empty_like(d_product);
    gated_into(t.gate_up, parts_.activation, ungained);
    mlp_output_.before_input_gains(d_product, ungained, t.down_folded);
  }
  // In the place of what it is made from, where no gains ask for that.
  const Tensor d_gate_up = t.gate_up_folded.gain.defined() ? gate_up_.gradient(tokens, t.gate_up_folded, t.x) : t.gate_up;
  FromGate made = back_through_gate(t, d_down, d_product, d_gate_up);
  t.gate_up.reset();
  add_factor_gradients(t, {d_down, made.product, t.down_narrow, &t.down_folded, made.down});
  made.product.reset(), made.down = {}, d_product.reset(), d_down.reset();

  const Tensor d_input = at::empty({tokens, gate_up_.in()}, t.x.options()), input = input_again(gate_up_, tokens, t.gate_up_folded, t.x);
  gate_up_.input_gradient(d_gate_up, t.gate_up_folded, d_input);
  const Tensor d_middle = attention_output_.gradient(tokens, t.output_folded, t.x);
  Fp8Rows* const codes = goes_straight(t.output_folded, parts_.after_attention) ? attention_output_.codes_of_next(t.output_folded) : nullptr;
  rms_norm_backward_into(d_input, t.middle, parts_.before_mlp->gain(), t.second_rstd, grad, d_middle, input, codes);
  add_factor_gradients(t, {d_gate_up, input, t.gate_up_narrow, &t.gate_up_folded, made.gate_up});
  return d_middle;
}

/// From the attention's output to the product that made q, k and v.
void FusedBlock::back_through_attention(Tape& t, const Tensor& d_attended, const Tensor& d_qkv) const {
  const auto [q, k, v] = heads_of(t);
  const Tensor grad = d_attended.view(q.sizes());
  if (parts_.head_norms.q.defined()) {
    const auto [dq, dk, dv] = t.attention->backward(grad, q, k, v);
    norm_rotate_backward_into(by_token(dq), by_token(dk), by_token(dv), t.qkv, parts_.head_norms, t.batch.rotation, d_qkv);
  } else {
    t.attention->backward_into(grad, q, k, v, t.batch.rotation, d_qkv);
  }
  t.attention.reset();
  if (t.qkv_folded.gain.defined()) qkv_.before_gains(d_qkv, t.qkv, t.qkv_folded, d_qkv);
  t.qkv.reset(), t.turned.reset();
}

Tensor FusedBlock::back(Tape& t, const Tensor& grad, bool wants_x) const {
  const Tensor dx = back_to_input(t, grad, wants_x);
  begin_factor_work(t);
  return dx;
}

Tensor FusedBlock::back_to_input(Tape& t, const Tensor& grad, bool wants_x) const {
  const Tensor d_middle = back_to_middle(t, grad);
  if (!wants_x && !t.qkv_folded.trains() && !t.output_folded.trains()) return {};
  const int64_t tokens = t.x.size(0), width = parts_.heads * parts_.head_dim;
  const Tensor d_attended = at::empty({tokens, width}, t.x.options());
  const bool straight = goes_straight(t.output_folded, parts_.after_attention);
  const Tensor d_output = straight ? d_middle : before_output(attention_output_, t.attention_output, parts_.after_attention, d_middle, t.output_folded);
  attention_output_.input_gradient(d_output, t.output_folded, d_attended);
  add_factor_gradients(t, {d_output, t.attended, beside(t.attended, t.output_folded.pad), &t.output_folded, {}});
  if (!wants_x && !t.qkv_folded.trains()) return {};

  const Tensor d_qkv = qkv_.gradient(tokens, t.qkv_folded, t.x);
  back_through_attention(t, d_attended, d_qkv);
  const Tensor input = input_again(qkv_, tokens, t.qkv_folded, t.x);
  Tensor dx;
  if (wants_x) {
    const Tensor d_input = at::empty_like(t.x);
    qkv_.input_gradient(d_qkv, t.qkv_folded, d_input);
    dx = mlp_output_.gradient(tokens, t.down_folded, t.x);
    Fp8Rows* const codes = mlp_output_.codes_of_next(t.down_folded) ? &between_->gradient_codes : nullptr;
    rms_norm_backward_into(d_input, t.x, parts_.before_attention->gain(), t.first_rstd, d_middle, dx, input, codes);
    between_->gradient = dx;
  } else {
    qkv_.input_gradient(d_qkv, t.qkv_folded, {});
    if (input.defined()) rms_norm_into(t.x, {}, parts_.before_attention->gain(), parts_.before_attention->eps(), {}, input, t.first_rstd);
  }
  add_factor_gradients(t, {d_qkv, input, t.qkv_narrow, &t.qkv_folded, {}});
  return dx;
}

}  // namespace graft
