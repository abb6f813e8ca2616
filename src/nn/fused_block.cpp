#include "graft/nn/fused_block.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "graft/ops/attention_pass.h"
#include "graft/ops/launch.h"
#include "graft/ops/norm.h"
#include "graft/ops/rope.h"

namespace graft {

/// What lies between the two passes. Matrices are [tokens, ..]; narrow ones are copies of what stood beside an input that is not kept.
struct FusedBlock::Tape {
  Batch batch;
  Tensor x, qkv, attended, middle, gate_up;
  Tensor first_rstd, second_rstd;
  std::unique_ptr<AttentionPass> attention;
  Folded qkv_folded, output_folded, gate_up_folded, down_folded;
  Tensor qkv_narrow, gate_up_narrow, down_narrow;
  Tensor out;
  std::shared_ptr<HostStore::Slot> stored;   // x, in the host's memory
};

namespace {

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

Tensor rstd_like(const Tensor& x) { return at::empty({x.size(0)}, x.options().dtype(wide_type(x))); }

/// The narrow products of an input that is to be forgotten.
Tensor kept_narrow(const FoldedLinears& linears, const Tensor& input, const Folded& folded) {
  if (folded.pad == 0) return {};
  const Tensor kept = at::empty({input.size(0), folded.pad}, input.options());
  copy_rows(linears.narrow(input, folded), kept);
  return kept;
}

/// Undefined where nothing is folded in: then nobody asks for the input again.
Tensor input_again(const FoldedLinears& linears, int64_t rows, const Folded& folded, const Tensor& like) {
  return folded.pad > 0 ? at::empty({rows, linears.in()}, like.options()) : Tensor();
}

/// [tokens, heads * dim] of a gradient that came as [batch, time, heads, dim].
Tensor tokens_by_heads(const Tensor& x) {
  const int64_t tokens = x.size(0) * x.size(1), columns = x.size(2) * x.size(3);
  const bool in_rows = x.stride(3) == 1 && x.stride(2) == x.size(3) && (x.size(0) == 1 || x.stride(0) == x.stride(1) * x.size(1));
  return in_rows ? x.as_strided({tokens, columns}, {x.stride(1), 1}) : x.reshape({tokens, columns});
}

}  // namespace

struct TapeHolder : torch::CustomClassHolder {
  explicit TapeHolder(FusedBlock::Tape t) : tape(std::move(t)) {}
  FusedBlock::Tape tape;
};

FusedBlock::FusedBlock(const BlockParts& parts, std::shared_ptr<BetweenBlocks> between)
    : parts_(parts), qkv_(parts.qkv), attention_output_(parts.attention_output), gate_up_(parts.gate_up), mlp_output_(parts.mlp_output), between_(std::move(between)) {
  for (FoldedLinears* linears : {&qkv_, &attention_output_, &gate_up_, &mlp_output_}) linears->settle();
}

bool FusedBlock::takes(const Batch& batch) const {
  const auto empty = [&](const Site* site) { return site->kind() == SiteKind::linear || !site->adapter(batch.adapter); };
  const auto folds = [&](const FoldedLinears& linears) { return linears.takes(batch); };
  return !batch.parts && std::ranges::all_of(parts_.sites, empty) && folds(qkv_) && folds(attention_output_) && folds(gate_up_) && folds(mlp_output_);
}

std::vector<Tensor> FusedBlock::parameters(const std::string& adapter) const {
  std::vector<Tensor> all;
  for (const FoldedLinears* linears : {&qkv_, &attention_output_, &gate_up_, &mlp_output_})
    for (const Tensor& parameter : linears->parameters(adapter)) all.push_back(parameter);
  return all;
}

FusedBlock::Tape FusedBlock::run(const Tensor& x, const Batch& batch) const {
  Tape t;
  t.batch = batch, t.x = x;
  feed(x, attend(x, t), t);
  return t;
}

/// What is to be added to the residual stream.
Tensor FusedBlock::attend(const Tensor& x, Tape& t) const {
  const int64_t tokens = x.size(0), rows = t.batch.ids.size(0), dim = parts_.head_dim, width = parts_.heads * dim, kv_width = parts_.kv_heads * dim;
  t.qkv_folded = qkv_.fold(t.batch), t.output_folded = attention_output_.fold(t.batch);
  const Tensor input = qkv_.input(tokens, t.qkv_folded, x);
  t.first_rstd = rstd_like(x);
  rms_norm_into(x, {}, parts_.before_attention->gain(), parts_.before_attention->eps(), {}, {}, input, t.first_rstd);
  t.qkv_narrow = kept_narrow(qkv_, input, t.qkv_folded);
  t.qkv = at::empty({tokens, qkv_.out()}, x.options());
  qkv_.product(input, t.qkv_folded, t.qkv, /*add=*/false);

  const auto parts = t.qkv.split_with_sizes({width, kv_width, kv_width}, 1);
  rotate_into(parts[0], parts[1], parts[2], dim, qkv_.bias(), t.batch.rotation, /*inverse=*/false, t.qkv);
  const auto by_head = [&](const Tensor& y) { return y.unflatten(0, {rows, -1}).unflatten(2, {-1, dim}); };
  t.attention = attention_pass(by_head(parts[0]), by_head(parts[1]), by_head(parts[2]), t.batch.mask, parts_.scores);
  t.attended = attention_output_.input(tokens, t.output_folded, x);
  copy_rows(t.attention->out().reshape({tokens, width}), t.attended);
  t.attention->replace_out(by_head(t.attended));
  if (t.output_folded.pad > 0) attention_output_.narrow(t.attended, t.output_folded);
  Tensor out = at::empty({tokens, attention_output_.out()}, x.options());
  attention_output_.product(t.attended, t.output_folded, out, /*add=*/false);
  return attention_output_.bias().defined() ? out.add_(attention_output_.bias()) : out;
}

void FusedBlock::feed(const Tensor& x, const Tensor& attended, Tape& t) const {
  const int64_t tokens = x.size(0);
  t.gate_up_folded = gate_up_.fold(t.batch), t.down_folded = mlp_output_.fold(t.batch);
  t.middle = at::empty_like(attended), t.out = at::empty_like(attended), t.second_rstd = rstd_like(x);
  const Tensor input = gate_up_.input(tokens, t.gate_up_folded, x);
  rms_norm_into(x, attended, parts_.before_mlp->gain(), parts_.before_mlp->eps(), t.middle, t.out, input, t.second_rstd);
  t.gate_up_narrow = kept_narrow(gate_up_, input, t.gate_up_folded);
  make_gate_up(input, t);
  const Tensor product = mlp_output_.input(tokens, t.down_folded, x);
  gated_into(t.gate_up, parts_.activation, product);
  t.down_narrow = kept_narrow(mlp_output_, product, t.down_folded);
  mlp_output_.product(product, t.down_folded, t.out, /*add=*/true);   // onto the residual, which stands there already
  if (mlp_output_.bias().defined()) t.out.add_(mlp_output_.bias());
}

/// With room beside it: its gradient will take its place.
void FusedBlock::make_gate_up(const Tensor& input, Tape& t) const {
  t.gate_up = gate_up_.gradient(input.size(0), t.gate_up_folded, input);
  gate_up_.product(input, t.gate_up_folded, t.gate_up, /*add=*/false);
  if (gate_up_.bias().defined()) t.gate_up.add_(gate_up_.bias());
}

void FusedBlock::make_gate_up_again(Tape& t) const {
  const Tensor input = gate_up_.input(t.middle.size(0), t.gate_up_folded, t.middle);
  rms_norm_into(t.middle, {}, parts_.before_mlp->gain(), parts_.before_mlp->eps(), {}, {}, input, t.second_rstd);
  if (t.gate_up_folded.pad > 0) copy_rows(t.gate_up_narrow, beside(input, t.gate_up_folded.pad));
  gate_up_.refill(t.gate_up_folded);
  make_gate_up(input, t);
}

/// The gradient that came from the block above has room already.
Tensor FusedBlock::with_room(const Tensor& grad, const Folded& folded) const {
  const Tensor handed = std::exchange(between_->gradient, Tensor());
  if (folded.pad == 0 || (handed.defined() && handed.const_data_ptr() == grad.const_data_ptr() && handed.sizes() == grad.sizes() && handed.strides() == grad.strides() &&
                          grad.stride(0) >= grad.size(1) + folded.pad))
    return grad;
  const Tensor room = mlp_output_.gradient(grad.size(0), folded, grad);
  copy_rows(grad, room);
  return room;
}

/// Through the feed-forward: the gradient of the residuals in the middle, with room beside it for the attention's output layer.
Tensor FusedBlock::back_to_middle(Tape& t, const Tensor& given) const {
  const int64_t tokens = t.x.size(0);
  const Tensor grad = with_room(given, t.down_folded);
  if (!t.gate_up.defined()) make_gate_up_again(t);
  Tensor d_product = at::empty({tokens, mlp_output_.in()}, t.x.options());
  mlp_output_.input_gradient(grad, t.down_folded, d_product);
  const Tensor d_gate_up = t.gate_up, product = t.down_folded.pad > 0 ? d_product : Tensor();   // each takes the place of what it is made from
  gated_backward_into(d_product, t.gate_up, parts_.activation, d_gate_up, product);
  t.gate_up.reset();
  mlp_output_.factor_gradients(grad, product, t.down_narrow, t.down_folded);
  d_product.reset();

  const Tensor d_input = at::empty({tokens, gate_up_.in()}, t.x.options()), input = input_again(gate_up_, tokens, t.gate_up_folded, t.x);
  gate_up_.input_gradient(d_gate_up, t.gate_up_folded, d_input);
  const Tensor d_middle = attention_output_.gradient(tokens, t.output_folded, t.x);
  rms_norm_backward_into(d_input, t.middle, parts_.before_mlp->gain(), t.second_rstd, grad, d_middle, input);
  gate_up_.factor_gradients(d_gate_up, input, t.gate_up_narrow, t.gate_up_folded);
  return d_middle;
}

Tensor FusedBlock::back(Tape& t, const Tensor& grad, bool wants_x) const {
  const Tensor d_middle = back_to_middle(t, grad);
  if (!wants_x && t.qkv_folded.pad == 0 && t.output_folded.pad == 0) return {};
  const int64_t tokens = t.x.size(0), rows = t.batch.ids.size(0), dim = parts_.head_dim, width = parts_.heads * dim, kv_width = parts_.kv_heads * dim;
  const Tensor d_attended = at::empty({tokens, width}, t.x.options());
  attention_output_.input_gradient(d_middle, t.output_folded, d_attended);
  attention_output_.factor_gradients(d_middle, t.attended, beside(t.attended, t.output_folded.pad), t.output_folded);
  if (!wants_x && t.qkv_folded.pad == 0) return {};

  const auto by_head = [&](const Tensor& y) { return y.unflatten(0, {rows, -1}).unflatten(2, {-1, dim}); };
  const auto parts = t.qkv.split_with_sizes({width, kv_width, kv_width}, 1);
  const auto [dq, dk, dv] = t.attention->backward(by_head(d_attended), by_head(parts[0]), by_head(parts[1]), by_head(parts[2]));
  t.attention.reset(), t.qkv.reset();
  const Tensor d_qkv = qkv_.gradient(tokens, t.qkv_folded, t.x);
  rotate_into(tokens_by_heads(dq), tokens_by_heads(dk), tokens_by_heads(dv), dim, {}, t.batch.rotation, /*inverse=*/true, d_qkv);
  const Tensor input = input_again(qkv_, tokens, t.qkv_folded, t.x);
  Tensor dx;
  if (wants_x) {
    const Tensor d_input = at::empty_like(t.x);
    qkv_.input_gradient(d_qkv, t.qkv_folded, d_input);
    dx = mlp_output_.gradient(tokens, t.down_folded, t.x);
    rms_norm_backward_into(d_input, t.x, parts_.before_attention->gain(), t.first_rstd, d_middle, dx, input);
    between_->gradient = dx;
  } else {
    qkv_.input_gradient(d_qkv, t.qkv_folded, {});
    rms_norm_into(t.x, {}, parts_.before_attention->gain(), parts_.before_attention->eps(), {}, {}, input, t.first_rstd);
  }
  qkv_.factor_gradients(d_qkv, input, t.qkv_narrow, t.qkv_folded);
  return dx;
}

class BlockNode : public torch::autograd::Function<BlockNode> {
 public:
  using Context = torch::autograd::AutogradContext;
  /// The parameters are named so that the engine knows of them; their gradients are added where they are made.
  static Tensor forward(Context* context, const Tensor& x, at::TensorList parameters, const FusedBlock* block, const Batch* batch, Recompute recompute) {
    FusedBlock::Tape tape = block->run(matrix(x), *batch);
    const Tensor out = std::exchange(tape.out, Tensor()).view(x.sizes());
    if (recompute == Recompute::gate_up) tape.gate_up.reset();
    if (recompute == Recompute::layer || recompute == Recompute::offload) {
      FusedBlock::Tape input;
      input.batch = tape.batch, input.x = tape.x;
      tape = std::move(input);
    }
    if (recompute == Recompute::offload) tape.stored = block->between_->inputs.put(std::exchange(tape.x, Tensor()));
    context->saved_data["tape"] = c10::IValue::make_capsule(c10::make_intrusive<TapeHolder>(std::move(tape)));
    context->saved_data["block"] = reinterpret_cast<int64_t>(block);   // the model outlives its graphs
    context->saved_data["parameters"] = static_cast<int64_t>(parameters.size());
    return out;
  }
  static torch::autograd::variable_list backward(Context* context, torch::autograd::variable_list grads) {
    const auto holder = c10::static_intrusive_pointer_cast<TapeHolder>(context->saved_data["tape"].toCapsule());
    const auto* block = reinterpret_cast<const FusedBlock*>(context->saved_data["block"].toInt());
    FusedBlock::Tape tape = std::move(holder->tape);
    if (!tape.middle.defined()) {
      const Tensor x = tape.stored ? block->between_->inputs.take(*tape.stored) : tape.x;
      tape = block->run(x, tape.batch);
      tape.out.reset();
    }
    const Tensor grad = grads[0].stride(-1) == 1 ? grads[0] : grads[0].contiguous();
    const Tensor dx = block->back(tape, matrix(grad), context->needs_input_grad(0));
    torch::autograd::variable_list all(4 + static_cast<size_t>(context->saved_data["parameters"].toInt()));
    if (dx.defined()) all[0] = dx.unflatten(0, grads[0].sizes().slice(0, grads[0].dim() - 1));
    return all;
  }
};

Tensor FusedBlock::forward(const Tensor& x, const Batch& batch, Recompute recompute) const {
  const std::vector<Tensor> trained = parameters(batch.adapter);
  return BlockNode::apply(x, at::TensorList(trained), this, &batch, recompute);
}

}  // namespace graft
