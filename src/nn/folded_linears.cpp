#include "graft/nn/folded_linears.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "folded_dropout.h"
#include "graft/core/error.h"
#include "graft/ops/launch.h"
#include "graft/ops/row_gain.h"
#include "graft/quant/quantized_weight.h"

namespace graft {
namespace {

constexpr int64_t pad_step = 64;

std::optional<LowRank> update_at(const Linear& layer, const std::string& adapter) {
  const auto here = layer.adapter(adapter);
  return here ? here->trained_factors() : std::nullopt;
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

void mask_updates(const Tensor& narrow, const Folded& folded) {
  if (!folded.mixed || folded.pad == 0) return;
  if (has_gpu_kernel(narrow))
    return kernels::mask_updates_cuda(folded.at.data(), static_cast<int>(folded.at.size()), matrix_of(narrow), real_type(narrow), narrow.size(0), folded.pad, current_stream(narrow));
  for (const kernels::Update& place : folded.at) {
    const Tensor columns = narrow.narrow(1, place.row, place.rank);
    columns.narrow(0, 0, place.begin).zero_(), columns.narrow(0, place.end, narrow.size(0) - place.end).zero_();
  }
}

Tensor beside(const Tensor& x, int64_t columns) { return x.as_strided({x.size(0), columns}, x.strides(), x.storage_offset() + x.size(1)); }

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

bool FoldedLinears::takes(const Batch& batch) const {
  const auto folds = [&](const Linear* layer, const std::string& adapter) {
    const auto update = update_at(*layer, adapter);
    return !layer->adapter(adapter) || (update && (!update->magnitude.defined() || update->a.size(0) <= kernels::most_row_gain_rank));
  };
  if (!batch.parts) return std::ranges::all_of(layers_, [&](const Linear* layer) { return folds(layer, batch.adapter); });
  // What is not the same for all tokens of a pass, gains and masks of dropout, goes the plain way.
  const auto same_for_all = [&](const Linear* layer, const Batch& part) {
    const auto update = update_at(*layer, part.adapter);
    return folds(layer, part.adapter) && (!update || (!update->magnitude.defined() && update->dropout == 0));
  };
  return static_cast<int64_t>(batch.parts->size() * layers_.size()) <= kernels::update_limit &&
         std::ranges::all_of(layers_, [&](const Linear* layer) { return std::ranges::all_of(*batch.parts, [&](const Batch& part) { return same_for_all(layer, part); }); });
}

std::vector<Tensor> FoldedLinears::parameters(const Batch& batch) const {
  std::vector<Tensor> all;
  for_each_adapter(batch, [&](const std::string& adapter, int64_t, int64_t) {
    for (const Linear* layer : layers_)
      if (const auto update = update_at(*layer, adapter)) {
        all.insert(all.end(), {update->a, update->b});
        if (update->magnitude.defined()) all.push_back(update->magnitude);
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
  if (keep_dense()) {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->weight_to_settle().settle(places[i]);
    settled_ = matrix;
  } else if (packed.size() == layers_.size()) {
    dequantize_into(packed, places);
  } else {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->weight()->dense_into(places[i]);
  }
  return matrix;
}

bool FoldedLinears::keep_dense() const {
  return std::ranges::all_of(layers_, [](const Linear* layer) { return layer->weight()->keeps_dense(); });
}

Folded FoldedLinears::fold(const Batch& batch) const {
  at::NoGradGuard no_grad;
  Folded folded;
  folded.seed = batch.seed, folded.step = static_cast<uint32_t>(batch.step);
  folded.segments = batch.segments.flatten(), folded.positions = batch.positions.flatten();
  folded.mixed = batch.parts != nullptr;
  int64_t ranks = 0;
  for_each_adapter(batch, [&](const std::string& adapter, int64_t begin, int64_t end) {
    int64_t first = 0;
    for (const Linear* layer : layers_) {
      const int64_t rows = layer->weight()->out_features();
      if (const auto update = update_at(*layer, adapter)) {
        const int64_t rank = update->a.size(0);
        folded.drops = folded.drops || (batch.training && update->dropout > 0);
        folded.updates.push_back(*update);
        folded.at.push_back({.scale = static_cast<float>(update->scale), .rank = rank, .row = ranks, .first = first, .out = rows, .begin = begin, .end = end});
        ranks += rank;
      }
      first += rows;
    }
  });
  folded.pad = room_for(ranks);
  fill(folded);
  make_gains(folded);
  return folded;
}

void FoldedLinears::fill(Folded& folded) const {
  const Tensor whole = matrix_of_pass(folded.pad);
  folded.matrix = whole.narrow(0, 0, out_ + folded.pad).narrow(1, 0, in_ + folded.pad);
  if (folded.pad == 0) return;
  if (has_gpu_kernel(whole)) {
    for (size_t i = 0; i < folded.at.size(); ++i)
      folded.at[i].a = folded.updates[i].a.const_data_ptr<float>(), folded.at[i].b = folded.updates[i].b.const_data_ptr<float>();
    return kernels::fold_updates_cuda(folded.at.data(), static_cast<int>(folded.at.size()), matrix_of(folded.matrix), real_type(whole), out_, in_, folded.pad,
                                      current_stream(whole));
  }
  folded.matrix.narrow(0, out_, folded.pad).narrow(1, 0, in_).zero_();
  folded.matrix.narrow(0, 0, out_).narrow(1, in_, folded.pad).zero_();
  for (size_t i = 0; i < folded.at.size(); ++i) {
    const auto& [place, update] = std::pair<const kernels::Update&, const LowRank&>(folded.at[i], folded.updates[i]);
    folded.matrix.narrow(0, out_ + place.row, place.rank).narrow(1, 0, in_).copy_(update.a * update.scale);
    folded.matrix.narrow(0, place.first, place.out).narrow(1, in_ + place.row, place.rank).copy_(update.b);
  }
}

void FoldedLinears::release(Folded& folded) const {
  if (!settled_.defined()) folded.matrix.reset();
}

Tensor FoldedLinears::wide(int64_t rows, int64_t columns, const Folded& folded, const Tensor& like) const {
  return at::empty({rows, columns + folded.pad}, like.options()).narrow(1, 0, columns);
}

Tensor FoldedLinears::narrow(const Tensor& x, const Folded& folded) const {
  Tensor narrow = beside(x, folded.pad);
  const Tensor factors = folded.matrix.narrow(0, out_, folded.pad).narrow(1, 0, in_);
  if (!folded.drops) {
    at::mm_out(narrow, x, factors.t());
    mask_updates(narrow, folded);
    return narrow;
  }
  narrow.zero_();
  for (size_t i = 0; i < folded.at.size(); ++i)
    narrow.narrow(1, folded.at[i].row, folded.at[i].rank).copy_(at::mm(dropped(x, folded, i), factors.narrow(0, folded.at[i].row, folded.at[i].rank).t()));
  return narrow;
}

/// y = the frozen product and its updates, or y += them; gains aside.
void FoldedLinears::multiply(const Tensor& x, const Folded& folded, const Tensor& y, bool add) const {
  Tensor to = y;
  const Tensor weights = folded.matrix.narrow(0, 0, out_);
  if (!fp8_) {
    const Tensor whole = folded.pad == 0 ? x : x.as_strided({x.size(0), in_ + folded.pad}, x.strides(), x.storage_offset());
    add ? to.addmm_(whole, weights.t()) : at::mm_out(to, whole, weights.t());
    return;
  }
  const Tensor product = add ? at::empty_like(y) : y;
  fp8_product_into(to_fp8(x), (*fp8_)[0], product);
  if (add) to.add_(product);
  if (folded.pad > 0) to.addmm_(beside(x, folded.pad), weights.narrow(1, in_, folded.pad).t());
}

void FoldedLinears::product(const Tensor& x, Folded& folded, const Tensor& y) const {
  multiply(x, folded, y, /*add=*/false);
  release(folded);
  if (folded.gain.defined()) scale_columns(y, folded.gain, {});
}

Tensor FoldedLinears::add_product(const Tensor& x, Folded& folded, const Tensor& sum) const {
  const bool gains = folded.gain.defined();
  const Tensor to = gains ? at::empty_like(sum) : sum;
  multiply(x, folded, to, /*add=*/!gains);
  release(folded);
  if (!gains) return {};
  scale_columns(to, folded.gain, sum);
  return to;
}

bool FoldedLinears::set_fp8(bool on) {
  at::NoGradGuard no_grad;
  fp8_.reset();
  if (!on || !keep_dense() || in_ % 16 != 0 || out_ % 16 != 0) return false;
  const Tensor weights = matrix_of_pass(pad_step).narrow(0, 0, out_).narrow(1, 0, in_);
  fp8_ = {to_fp8(weights), to_fp8(weights.t().contiguous())};
  return true;
}

void FoldedLinears::settle() {
  if (keep_dense()) matrix_of_pass(pad_step);
}

}  // namespace graft
