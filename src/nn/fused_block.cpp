#include "graft/nn/fused_block.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "block_tape.h"
#include "graft/ops/gate_updates.h"
#include "graft/ops/launch.h"
#include "graft/ops/norm.h"
#include "graft/ops/row_gain.h"

namespace graft {
namespace {

Tensor rstd_like(const Tensor& x) { return at::empty({x.size(0)}, x.options().dtype(wide_type(x))); }

Tensor normed(const Tensor& x, const RmsNorm& norm, Tensor& rstd) {
  const Tensor y = at::empty_like(x);
  rstd = rstd_like(x);
  rms_norm_into(x, {}, norm.gain(), norm.eps(), {}, y, rstd);
  return y;
}

/// The narrow products of an input that is to be forgotten.
Tensor kept_narrow(const FoldedLinears& linears, const Tensor& input, const Folded& folded) {
  if (folded.pad == 0) return {};
  const Tensor kept = at::empty({input.size(0), folded.pad}, input.options());
  linears.narrow(input, folded, kept);
  return kept;
}

}  // namespace

FusedBlock::FusedBlock(const BlockParts& parts, std::shared_ptr<BetweenBlocks> between)
    : parts_(parts), qkv_(parts.qkv), attention_output_(parts.attention_output), gate_up_(parts.gate_up), mlp_output_(parts.mlp_output), between_(std::move(between)) {
  for (FoldedLinears* linears : {&qkv_, &attention_output_, &gate_up_, &mlp_output_}) linears->settle();
}

bool FusedBlock::set_fp8(bool on) {
  bool all = true;
  for (FoldedLinears* linears : {&qkv_, &attention_output_, &gate_up_, &mlp_output_}) all = linears->set_fp8(on) && all;
  return all;
}

bool FusedBlock::takes(const Batch& batch) const {
  const auto empty = [&](const Site* site) {
    if (site->kind() == SiteKind::linear) return true;
    return batch.parts ? std::ranges::none_of(*batch.parts, [&](const Batch& part) { return site->adapter(part.adapter) != nullptr; }) : !site->adapter(batch.adapter);
  };
  const auto folds = [&](const FoldedLinears& linears) { return linears.takes(batch); };
  return std::ranges::all_of(parts_.sites, empty) && folds(qkv_) && folds(attention_output_) && folds(gate_up_) && mlp_output_.takes(batch, /*gains_of_inputs=*/true);
}

std::vector<Tensor> FusedBlock::parameters(const Batch& batch) const {
  std::vector<Tensor> all;
  for (const FoldedLinears* linears : {&qkv_, &attention_output_, &gate_up_, &mlp_output_})
    for (const Tensor& parameter : linears->parameters(batch)) all.push_back(parameter);
  return all;
}

FusedBlock::Tape FusedBlock::run(const Tensor& x, const Batch& batch) const {
  Tape t;
  t.batch = batch, t.x = x;
  fold(t);
  feed(x, attend(x, t), t);
  return t;
}

/// Dense weights' factors all at once; a matrix of codes is made when its turn comes.
void FusedBlock::fold(Tape& t) const {
  std::vector<FoldedLinears::Filling> dense;
  for (const auto& filling : {FoldedLinears::Filling{&qkv_, &t.qkv_folded}, {&attention_output_, &t.output_folded}, {&gate_up_, &t.gate_up_folded}, {&mlp_output_, &t.down_folded}}) {
    *filling.folded = filling.linears->places(t.batch);
    if (filling.linears->keeps_dense()) dense.push_back(filling);
  }
  FoldedLinears::fill(dense);
}

/// Rotates q and k, in their place where nobody asks for them as they were: neither norms nor gains.
void FusedBlock::turn(Tape& t) const {
  const int64_t width = parts_.heads * parts_.head_dim, kv_width = parts_.kv_heads * parts_.head_dim;
  if (parts_.head_norms.q.defined()) {
    t.turned = at::empty({t.qkv.size(0), width + kv_width}, t.qkv.options());
    return norm_rotate_into(t.qkv, width, kv_width, parts_.head_norms, t.batch.rotation, t.turned);
  }
  const auto parts = t.qkv.split_with_sizes({width, kv_width, kv_width}, 1);
  if (t.qkv_folded.gain.defined()) {
    if (qkv_.bias(t.qkv_folded).defined()) t.qkv.add_(qkv_.bias(t.qkv_folded));
    t.turned = at::empty({t.qkv.size(0), width + kv_width}, t.qkv.options());
    return rotate_into(parts[0], parts[1], parts[2].narrow(1, 0, 0), parts_.head_dim, {}, t.batch.rotation, /*inverse=*/false, t.turned);
  }
  rotate_into(parts[0], parts[1], parts[2], parts_.head_dim, qkv_.bias(t.qkv_folded), t.batch.rotation, /*inverse=*/false, t.qkv);
}

/// [batch, time, heads, head_dim] each, as attention takes them.
std::array<Tensor, 3> FusedBlock::heads_of(const Tape& t) const {
  const int64_t width = parts_.heads * parts_.head_dim, kv_width = parts_.kv_heads * parts_.head_dim;
  const auto by_head = [&](const Tensor& y) { return y.unflatten(0, {t.batch.ids.size(0), -1}).unflatten(2, {-1, parts_.head_dim}); };
  const Tensor& turned = t.turned.defined() ? t.turned : t.qkv;
  return {by_head(turned.narrow(1, 0, width)), by_head(turned.narrow(1, width, kv_width)), by_head(t.qkv.narrow(1, width + kv_width, kv_width))};
}

/// What is to be added to the residual stream.
Tensor FusedBlock::attend(const Tensor& x, Tape& t) const {
  const int64_t tokens = x.size(0), dim = parts_.head_dim, width = parts_.heads * dim;
  qkv_.ready(t.qkv_folded), attention_output_.ready(t.output_folded);
  const Tensor input = qkv_.input(tokens, t.qkv_folded, x);
  t.first_rstd = rstd_like(x);
  rms_norm_into(x, {}, parts_.before_attention->gain(), parts_.before_attention->eps(), {}, input, t.first_rstd, qkv_.codes_of_next(t.qkv_folded));
  t.qkv_narrow = kept_narrow(qkv_, input, t.qkv_folded);
  t.qkv = at::empty({tokens, qkv_.out()}, x.options());
  qkv_.product(input, t.qkv_folded, t.qkv);

  turn(t);
  const auto [q, k, v] = heads_of(t);
  t.attention = attention_pass(q, k, v, t.batch.mask, parts_.scores);
  t.attended = attention_output_.input(tokens, t.output_folded, x);
  attention_output_.take_in(t.attention->out().reshape({tokens, width}), t.output_folded, t.attended);
  t.attention->replace_out(t.attended.unflatten(0, {t.batch.ids.size(0), -1}).unflatten(2, {-1, dim}));
  Tensor out = at::empty({tokens, attention_output_.out()}, x.options());
  attention_output_.product(t.attended, t.output_folded, out);
  if (attention_output_.bias(t.output_folded).defined()) out.add_(attention_output_.bias(t.output_folded));
  const RmsNorm* norm = parts_.after_attention;
  if (t.output_folded.gain.defined() || norm) t.attention_output.y = out;
  return norm ? normed(out, *norm, t.attention_output.rstd) : out;
}

void FusedBlock::feed(const Tensor& x, const Tensor& attended, Tape& t) const {
  const int64_t tokens = x.size(0);
  gate_up_.ready(t.gate_up_folded), mlp_output_.ready(t.down_folded);
  t.middle = at::empty_like(attended), t.second_rstd = rstd_like(x);
  const Tensor input = gate_up_.input(tokens, t.gate_up_folded, x);
  rms_norm_into(x, attended, parts_.before_mlp->gain(), parts_.before_mlp->eps(), t.middle, input, t.second_rstd, gate_up_.codes_of_next(t.gate_up_folded));
  t.gate_up_narrow = kept_narrow(gate_up_, input, t.gate_up_folded);
  make_gate_up(input, t);
  const Tensor product = mlp_output_.input(tokens, t.down_folded, x);
  gate(product, t);
  feed_down(product, t);
}

/// The gated product, and its narrow ones beside it.
void FusedBlock::gate(const Tensor& product, Tape& t) const {
  Folded& folded = t.down_folded;
  Fp8Rows* const codes = folded.in_gain.defined() ? nullptr : mlp_output_.codes_of_next(folded);
  if (!codes && mlp_output_.has_one_update_each(folded, most_gate_rank)) {
    const Tensor factors = mlp_output_.factors_a(folded), narrow = beside(product, folded.pad);
    if (gate_takes_updates({t.gate_up, product, factors, narrow}, product.size(1))) {
      t.down_narrow = at::empty({product.size(0), folded.pad}, product.options());
      return gated_updates_into(t.gate_up, parts_.activation, product, factors, narrow, t.down_narrow);
    }
  }
  gated_into(t.gate_up, parts_.activation, product, codes);
  if (folded.in_gain.defined()) scale_columns(product, folded.in_gain);
  t.down_narrow = kept_narrow(mlp_output_, product, folded);
}

/// Onto the residuals. What gains make of the product, or a norm takes, stands by itself first.
void FusedBlock::feed_down(const Tensor& product, Tape& t) const {
  const RmsNorm* norm = parts_.after_mlp;
  const Tensor& bias = mlp_output_.bias(t.down_folded);
  t.out = at::empty_like(t.middle);
  if (!norm && !t.down_folded.gain.defined()) {
    mlp_output_.product(product, t.down_folded, t.out, t.middle);
    if (bias.defined()) t.out.add_(bias);
    return;
  }
  t.down.y = at::empty_like(t.middle);
  mlp_output_.product(product, t.down_folded, t.down.y);
  if (bias.defined()) t.down.y.add_(bias);
  at::add_out(t.out, t.middle, norm ? normed(t.down.y, *norm, t.down.rstd) : t.down.y);
}

/// With room beside it: its gradient will take its place, where no gains ask for it.
void FusedBlock::make_gate_up(const Tensor& input, Tape& t) const {
  t.gate_up = gate_up_.gradient(input.size(0), t.gate_up_folded, input);
  gate_up_.product(input, t.gate_up_folded, t.gate_up);
  if (gate_up_.bias(t.gate_up_folded).defined()) t.gate_up.add_(gate_up_.bias(t.gate_up_folded));
}

}  // namespace graft
