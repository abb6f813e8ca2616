// DoRA's gains on folded linear layers.
#include <ATen/ATen.h>

#include <algorithm>

#include "graft/nn/folded_linears.h"
#include "graft/ops/launch.h"
#include "graft/ops/row_gain.h"
#include "gradient_of.h"

namespace graft {

/// IA3's are what trains; DoRA's come from what lies in the matrix: two narrow products for all updates at once.
void FoldedLinears::make_gains(Folded& folded) const {
  const auto any = [&](Tensor LowRank::*part) { return std::ranges::any_of(folded.updates, [&](const LowRank& update) { return (update.*part).defined(); }); };
  if (any(&LowRank::in_gain)) folded.in_gain = folded.updates.front().in_gain.flatten().to(folded.matrix.scalar_type());
  if (!any(&LowRank::magnitude)) return;
  const Tensor weights = folded.matrix.narrow(0, 0, out_).narrow(1, 0, in_), factors = folded.matrix.narrow(0, out_, folded.pad).narrow(1, 0, in_);
  folded.gain = at::ones({out_}, weights.options());
  if (!any(&LowRank::squares)) {
    for (size_t i = 0; i < folded.at.size(); ++i) folded.gain.narrow(0, folded.at[i].first, folded.at[i].out).copy_(folded.updates[i].magnitude.flatten());
    if (bias_.defined()) folded.bias = bias_ * folded.gain;
    return;
  }
  const Tensor projected = wide_product(factors, weights.t());   // [pad, out]
  if (has_gpu_kernel(weights)) {
    const Tensor gram = wide_product(factors, factors.t());
    for (size_t i = 0; i < folded.at.size(); ++i) {
      const LowRank& update = folded.updates[i];
      folded.at[i].magnitude = update.magnitude.const_data_ptr<float>(), folded.at[i].squares = update.squares.const_data_ptr<float>();
    }
    return kernels::row_gains_cuda(folded.at.data(), static_cast<int>(folded.at.size()), projected.const_data_ptr<float>(), gram.const_data_ptr<float>(), folded.pad,
                                   folded.gain.mutable_data_ptr(), real_type(weights), out_, current_stream(weights));
  }
  for (size_t i = 0; i < folded.at.size(); ++i) {
    const auto& [place, update] = std::pair<const kernels::Update&, const LowRank&>(folded.at[i], folded.updates[i]);
    const Tensor own = projected.narrow(0, place.row, place.rank).narrow(1, place.first, place.out);
    folded.gain.narrow(0, place.first, place.out).copy_(row_gain_text(update.magnitude, update.squares, own, factors.narrow(0, place.row, place.rank), update.b, 1, weights));
  }
}

void FoldedLinears::before_gains(const Tensor& grad, const Tensor& y, const Folded& folded, const Tensor& to) const {
  const Tensor products = scale_columns_backward(grad, y, folded.bias.defined() ? Tensor() : bias_, folded.gain, to);   // gains of a bias too: y is theirs whole
  std::vector<kernels::Update> places = folded.at;
  const bool on_gpu = has_gpu_kernel(grad);
  for (size_t i = 0; i < places.size(); ++i) {
    const Tensor& magnitude = folded.updates[i].magnitude;
    Tensor own = gradient_of(magnitude);
    if (on_gpu) places[i].magnitude = magnitude.const_data_ptr<float>(), places[i].magnitude_grad = own.mutable_data_ptr<float>();
    else own.add_(products[0].narrow(0, places[i].first, places[i].out).view_as(own) / magnitude);
  }
  if (on_gpu)
    kernels::add_magnitude_gradients_cuda(places.data(), static_cast<int>(places.size()), products.const_data_ptr<float>(), static_cast<int>(products.size(0)), products.size(1),
                                          current_stream(grad));
}

void FoldedLinears::before_input_gains(const Tensor& grad, const Tensor& x, const Folded& folded) const {
  Tensor own = gradient_of(folded.updates.front().in_gain);
  own.add_(scale_columns_backward(grad, x, {}, folded.in_gain, grad).sum(0).view_as(own));
}

}  // namespace graft
