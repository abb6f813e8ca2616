#include "graft/nn/folded_linears.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/ops/dropout.h"
#include "graft/ops/launch.h"
#include "graft/quant/quantized_weight.h"

namespace graft {
namespace {

constexpr int64_t pad_step = 64;   // a tile of a matrix product: less would not be faster

int64_t padded(int64_t ranks) { return (ranks + pad_step - 1) / pad_step * pad_step; }

/// With fp32 sums where the inputs are narrower.
Tensor wide_product(const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == at::kFloat || a.scalar_type() == at::kDouble) return at::mm(a, b);
  return a.is_cuda() ? at::mm(a, b, at::kFloat) : at::mm(a.to(at::kFloat), b.to(at::kFloat));
}

/// What an update sees of x, or the gradient of what it saw.
Tensor dropped(const Tensor& x, const Folded& folded, size_t update) {
  const LowRank& own = folded.updates[update];
  return dropout(x, own.dropout, {folded.seed, own.site, folded.step}, folded.segments, folded.positions);
}

Tensor gradient_of(const Tensor& parameter) {
  Tensor& grad = const_cast<Tensor&>(parameter).mutable_grad();
  if (!grad.defined()) grad = at::zeros_like(parameter);
  return grad;
}

/// Each update's share of both sums, [pad, in] and [out, pad] with what parts they have in front, onto its parameters' gradients.
void add_gradients(Folded& folded, const Tensor& a_sum, const Tensor& b_sum) {
  const bool on_gpu = a_sum.is_cuda() && a_sum.scalar_type() == at::kFloat;
  for (size_t i = 0; i < folded.at.size(); ++i) {
    kernels::Update& place = folded.at[i];
    Tensor a_grad = gradient_of(folded.updates[i].a), b_grad = gradient_of(folded.updates[i].b);
    if (on_gpu) {
      place.a_grad = a_grad.mutable_data_ptr<float>(), place.b_grad = b_grad.mutable_data_ptr<float>();
    } else {
      a_grad.add_(a_sum[0].narrow(0, place.row, place.rank), place.scale);
      b_grad.add_(b_sum[0].narrow(0, place.first, place.out).narrow(1, place.row, place.rank));
    }
  }
  if (!on_gpu) return;
  const auto partial = [](const Tensor& x) { return kernels::PartialSum{x.const_data_ptr<float>(), x.stride(1), x.stride(2), x.stride(0), static_cast<int>(x.size(0))}; };
  kernels::unfold_gradients_cuda(folded.at.data(), static_cast<int>(folded.at.size()), partial(a_sum), partial(b_sum), a_sum.size(2), current_stream(a_sum));
}

/// Whether the kernel of both sums takes these.
bool sums_by_kernel(const Tensor& g, const Tensor& x, int64_t pad) {
  const bool narrow = g.scalar_type() == at::kBFloat16 || g.scalar_type() == at::kHalf;
  const auto fits = [](const Tensor& m) { return m.size(1) % 8 == 0 && m.stride(0) % 8 == 0; };
  return g.is_cuda() && narrow && pad == kernels::narrow_width && fits(g) && fits(x) && kernels::cuda_compute_capability(g.device().index()) >= 80;
}

/// narrow_g^T x and (narrow_x^T g)^T in one launch: [parts, pad, in] and [parts, out, pad].
std::pair<Tensor, Tensor> sums_over_tokens(const Tensor& g, const Tensor& narrow_g, const Tensor& x, const Tensor& narrow_x) {
  const int64_t in = x.size(1), out = g.size(1), columns = in + out;
  const int parts = kernels::token_sum_parts(g.size(0), columns);
  const Tensor sums = at::empty({parts, kernels::narrow_width, columns}, g.options().dtype(at::kFloat));
  const kernels::TokenSum both[] = {{matrix_of(narrow_g), matrix_of(x), in, 0}, {matrix_of(narrow_x), matrix_of(g), out, in}};
  kernels::token_sums_cuda(both, 2, sums.mutable_data_ptr<float>(), real_type(g), g.size(0), parts, columns, current_stream(g));
  return {sums.narrow(2, 0, in), sums.narrow(2, in, out).transpose(1, 2)};
}

}  // namespace

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
  return std::ranges::all_of(layers_, [&](const Linear* layer) {
    const auto here = layer->adapter(batch.adapter);
    if (!here) return true;
    return here->trained_factors().has_value();
  });
}

std::vector<Tensor> FoldedLinears::parameters(const std::string& adapter) const {
  std::vector<Tensor> all;
  for (const Linear* layer : layers_)
    if (const auto here = layer->adapter(adapter))
      if (const auto update = here->trained_factors()) all.insert(all.end(), {update->a, update->b});
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
  int64_t first = 0, ranks = 0;
  for (const Linear* layer : layers_) {
    const int64_t rows = layer->weight()->out_features();
    const auto here = layer->adapter(batch.adapter);
    if (const auto update = here ? here->trained_factors() : std::nullopt) {
      const int64_t rank = update->a.size(0);
      folded.drops = folded.drops || (batch.training && update->dropout > 0);
      folded.updates.push_back(*update);
      folded.at.push_back({nullptr, nullptr, nullptr, nullptr, static_cast<float>(update->scale), rank, ranks, first, rows});
      ranks += rank;
    }
    first += rows;
  }
  folded.pad = padded(ranks);
  fill(folded);
  return folded;
}

void FoldedLinears::fill(Folded& folded) const {
  const Tensor whole = matrix_of_pass(folded.pad);
  folded.matrix = whole.narrow(0, 0, out_ + folded.pad).narrow(1, 0, in_ + folded.pad);
  if (folded.pad == 0) return;
  if (whole.is_cuda() && whole.scalar_type() != at::kDouble) {
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
  if (!folded.drops) return at::mm_out(narrow, x, factors.t());
  narrow.zero_();
  for (size_t i = 0; i < folded.at.size(); ++i)
    narrow.narrow(1, folded.at[i].row, folded.at[i].rank).copy_(at::mm(dropped(x, folded, i), factors.narrow(0, folded.at[i].row, folded.at[i].rank).t()));
  return narrow;
}

void FoldedLinears::product(const Tensor& x, Folded& folded, const Tensor& y, bool add) const {
  const Tensor whole = folded.pad == 0 ? x : x.as_strided({x.size(0), in_ + folded.pad}, x.strides(), x.storage_offset());
  const Tensor weights = folded.matrix.narrow(0, 0, out_).t();
  Tensor to = y;
  add ? to.addmm_(whole, weights) : at::mm_out(to, whole, weights);
  release(folded);
}

void FoldedLinears::input_gradient(const Tensor& g, Folded& folded, const Tensor& dx) const {
  refill(folded);
  const Tensor weights = folded.matrix.narrow(1, 0, in_);   // the factors A below them
  Tensor to = dx;
  if (folded.pad > 0) {
    Tensor narrow_g = beside(g, folded.pad);
    at::mm_out(narrow_g, g, folded.matrix.narrow(0, 0, out_).narrow(1, in_, folded.pad));
  }
  if (dx.defined() && !folded.drops) at::mm_out(to, g.as_strided({g.size(0), out_ + folded.pad}, g.strides(), g.storage_offset()), weights);
  if (dx.defined() && folded.drops) {
    at::mm_out(to, g, weights.narrow(0, 0, out_));
    for (size_t i = 0; i < folded.at.size(); ++i) {
      const kernels::Update& place = folded.at[i];
      to.add_(dropped(at::mm(beside(g, folded.pad).narrow(1, place.row, place.rank), weights.narrow(0, out_ + place.row, place.rank)), folded, i));
    }
  }
  release(folded);
}

void FoldedLinears::factor_gradients(const Tensor& g, const Tensor& x, const Tensor& narrow_x, Folded& folded) const {
  if (folded.pad == 0) return;
  const Tensor narrow_g = beside(g, folded.pad);
  if (!folded.drops && sums_by_kernel(g, x, folded.pad)) {
    const auto [a_sum, b_sum] = sums_over_tokens(g, narrow_g, x, narrow_x);
    return add_gradients(folded, a_sum, b_sum);
  }
  const Tensor b_sum = wide_product(g.t(), narrow_x);
  if (!folded.drops) return add_gradients(folded, wide_product(narrow_g.t(), x).unsqueeze(0), b_sum.unsqueeze(0));
  const Tensor a_sum = at::zeros({folded.pad, in_}, b_sum.options());
  for (size_t i = 0; i < folded.at.size(); ++i)
    a_sum.narrow(0, folded.at[i].row, folded.at[i].rank).copy_(wide_product(narrow_g.narrow(1, folded.at[i].row, folded.at[i].rank).t(), dropped(x, folded, i)));
  add_gradients(folded, a_sum.unsqueeze(0), b_sum.unsqueeze(0));
}

void FoldedLinears::settle() {
  if (keep_dense()) matrix_of_pass(pad_step);
}

}  // namespace graft
