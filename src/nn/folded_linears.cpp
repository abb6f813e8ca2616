#include "graft/nn/folded_linears.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/ops/launch.h"
#include "graft/quant/quantized_weight.h"

namespace graft {
namespace {

constexpr int64_t pad_step = 64;

std::optional<LowRank> update_at(const Linear& layer, const std::string& adapter) {
  const auto here = layer.adapter(adapter);
  return here ? here->trained_factors() : std::nullopt;
}

Tensor with_gain(const Tensor& factor, const Tensor& gain) { return gain.defined() ? factor * gain.unsqueeze(1) : factor; }

void point_to(const LowRank& update, kernels::Update& at) {
  const auto numbers = [](const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; };
  at.a = numbers(update.a), at.b = numbers(update.b), at.a_gain = numbers(update.a_gain), at.b_gain = numbers(update.b_gain);
  at.a_stride = update.a.stride(0);
}

/// f(adapter, its tokens' begin and end) for each adapter in the pass.
template <class F>
void for_each_adapter(const Batch& batch, F&& f) {
  const int64_t columns = batch.ids.size(1);
  if (!batch.parts) return f(batch.adapter, int64_t{0}, batch.ids.size(0) * columns);
  int64_t row = 0;
  for (const Batch& part : *batch.parts) f(part.adapter, row * columns, (row + part.ids.size(0)) * columns), row += part.ids.size(0);
}

}  // namespace

int64_t room_for(int64_t ranks) { return (ranks + pad_step - 1) / pad_step * pad_step; }

FoldedLinears::FoldedLinears(std::vector<Linear*> layers) : layers_(std::move(layers)) {
  in_ = layers_.front()->weight()->in_features();
  std::vector<Tensor> biases;
  for (const Linear* layer : layers_) {
    out_ += layer->weight()->out_features();
    if (layer->bias().defined()) biases.push_back(layer->bias());
  }
  check(biases.empty() || biases.size() == layers_.size(), "{}: some of its neighbours have no bias", layers_.front()->path());
  if (!biases.empty()) bias_ = biases.size() == 1 ? biases[0] : at::cat(biases);
}

bool FoldedLinears::takes(const Batch& batch, bool gains_of_inputs) const {
  const auto folds = [&](const Linear* layer, const std::string& adapter) {
    const auto update = update_at(*layer, adapter);
    return !layer->adapter(adapter) || (update && (!update->magnitude.defined() || update->rank() <= kernels::most_row_gain_rank) && (gains_of_inputs || !update->in_gain.defined()));
  };
  if (!batch.parts) return std::ranges::all_of(layers_, [&](const Linear* layer) { return folds(layer, batch.adapter); });
  // What is not the same for all tokens of a pass, gains and masks of dropout, goes the plain way.
  const auto same_for_all = [&](const Linear* layer, const Batch& part) {
    const auto update = update_at(*layer, part.adapter);
    return folds(layer, part.adapter) && (!update || (!update->magnitude.defined() && !update->in_gain.defined() && update->dropout == 0));
  };
  return static_cast<int64_t>(batch.parts->size() * layers_.size()) <= kernels::update_limit &&
         std::ranges::all_of(layers_, [&](const Linear* layer) { return std::ranges::all_of(*batch.parts, [&](const Batch& part) { return same_for_all(layer, part); }); });
}

std::vector<Tensor> FoldedLinears::parameters(const Batch& batch) const {
  std::vector<Tensor> all;
  for_each_adapter(batch, [&](const std::string& adapter, int64_t, int64_t) {
    for (const Linear* layer : layers_)
      if (const auto update = update_at(*layer, adapter)) {
        for (const Tensor& trained : {update->trained_a(), update->trained_b(), update->magnitude, update->in_gain})
          if (trained.defined()) all.push_back(trained);
      }
  });
  return all;
}

Tensor FoldedLinears::matrix_of_pass(int64_t pad) const {
  const Weight& first = *layers_.front()->weight();
  if (settled_.defined() && settled_.size(0) >= out_ + pad) return settled_;
  const int64_t room = std::max(pad, pad_step);   // for the adapter that comes after a pass without one
  Tensor matrix = at::empty({out_ + room, in_ + room}, at::TensorOptions(first.dtype()).device(first.device()));
  std::vector<Tensor> places;
  std::vector<const QuantizedTensor*> packed;   // one launch for all, where all are codes
  int64_t row = 0;
  for (const Linear* layer : layers_) {
    places.push_back(matrix.narrow(0, row, layer->weight()->out_features()).narrow(1, 0, in_));
    row += places.back().size(0);
    const auto* quantized = dynamic_cast<const QuantizedWeight*>(layer->weight());
    if (quantized && !quantized->keeps_dense() && matrix.scalar_type() != at::kDouble) packed.push_back(&quantized->value());
  }
  if (keeps_dense()) {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->weight_to_settle().settle(places[i]);
    settled_ = matrix;
  } else if (packed.size() == layers_.size()) {
    dequantize_into(packed, places);
  } else {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->weight()->dense_into(places[i]);
  }
  return matrix;
}

bool FoldedLinears::keeps_dense() const {
  return std::ranges::all_of(layers_, [](const Linear* layer) { return layer->weight()->keeps_dense(); });
}

Folded FoldedLinears::places(const Batch& batch) const {
  Folded folded;
  folded.key = dropout_key(batch, 0);
  folded.segments = batch.segments.flatten(), folded.positions = batch.positions.flatten();
  folded.mixed = batch.parts != nullptr;
  int64_t ranks = 0;
  for_each_adapter(batch, [&](const std::string& adapter, int64_t begin, int64_t end) {
    int64_t first = 0;
    for (const Linear* layer : layers_) {
      const int64_t rows = layer->weight()->out_features();
      if (const auto update = update_at(*layer, adapter)) {
        const int64_t rank = update->rank();
        folded.drops = folded.drops || (batch.training && update->dropout > 0);
        folded.updates.push_back(*update);
        folded.at.push_back({.scale = static_cast<float>(update->scale), .rank = rank, .row = ranks, .first = first, .out = rows, .begin = begin, .end = end});
        ranks += rank;
      }
      first += rows;
    }
  });
  folded.pad = room_for(ranks);
  return folded;
}

void FoldedLinears::fill(std::span<const Filling> all) {
  at::NoGradGuard no_grad;
  std::vector<kernels::Fold> on_gpu;
  Tensor like;
  for (const auto& [linears, folded] : all) {
    const int64_t in = linears->in_, out = linears->out_, pad = folded->pad;
    const Tensor whole = linears->matrix_of_pass(pad);
    folded->matrix = whole.narrow(0, 0, out + pad).narrow(1, 0, in + pad);
    if (pad == 0) continue;
    if (!has_gpu_kernel(whole)) {
      linears->copy_factors(*folded);
      continue;
    }
    for (size_t i = 0; i < folded->at.size(); ++i) point_to(folded->updates[i], folded->at[i]);
    on_gpu.push_back({folded->at.data(), static_cast<int>(folded->at.size()), matrix_of(folded->matrix), out, in, pad});
    like = whole;
  }
  if (!on_gpu.empty()) kernels::fold_updates_cuda(on_gpu.data(), static_cast<int>(on_gpu.size()), real_type(like), current_stream(like));
}

void FoldedLinears::copy_factors(const Folded& folded) const {
  factors_a(folded).zero_();
  factors_b(folded).zero_();
  for (size_t i = 0; i < folded.at.size(); ++i) {
    const auto& [place, update] = std::pair<const kernels::Update&, const LowRank&>(folded.at[i], folded.updates[i]);
    folded.matrix.narrow(0, out_ + place.row, place.rank).narrow(1, 0, in_).copy_(with_gain(update.a * update.scale, update.a_gain));
    folded.matrix.narrow(0, place.first, place.out).narrow(1, in_ + place.row, place.rank).copy_(with_gain(update.b, update.b_gain));
  }
}

void FoldedLinears::ready(Folded& folded) const {
  at::NoGradGuard no_grad;
  if (!folded.matrix.defined()) fill(std::array{Filling{this, &folded}});
  if (!folded.gain.defined() && !folded.in_gain.defined()) make_gains(folded);
}

void FoldedLinears::release(Folded& folded) const {
  if (!settled_.defined()) folded.matrix.reset();
}

void FoldedLinears::settle() {
  if (keeps_dense()) matrix_of_pass(pad_step);
}

}  // namespace graft
