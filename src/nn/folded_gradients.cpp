// Back through folded linear layers: the input's gradient, and the factors'.
#include <ATen/ATen.h>

#include <algorithm>

#include "folded_dropout.h"
#include "gradient_of.h"
#include "graft/ops/launch.h"
#include "graft/ops/narrow_product.h"
#include "graft/ops/product.h"

namespace graft {
namespace {

/// Onto the gradient of a factor, or of its rows' gains.
void add_to(const Tensor& grad, const Tensor& of_factor, const Tensor& factor, double scale) {
  Tensor(grad).add_(grad.dim() == 1 ? (of_factor * factor).sum(1) : of_factor, scale);
}

/// Each update's share of both sums onto its parameters' gradients.
void add_gradients(Folded& folded, const Tensor& a_sum, const Tensor& b_sum) {
  const bool on_gpu = a_sum.is_cuda() && a_sum.scalar_type() == at::kFloat;
  for (size_t i = 0; i < folded.at.size(); ++i) {
    kernels::Update& place = folded.at[i];
    const LowRank& update = folded.updates[i];
    Tensor a_grad = gradient_of(update.trained_a()), b_grad = gradient_of(update.trained_b());
    if (on_gpu) {
      place.a_grad = a_grad.mutable_data_ptr<float>(), place.b_grad = b_grad.mutable_data_ptr<float>();
    } else {
      add_to(a_grad, a_sum[0].narrow(0, place.row, place.rank), update.a, place.scale);
      add_to(b_grad, b_sum[0].narrow(0, place.first, place.out).narrow(1, place.row, place.rank), update.b, 1);
    }
  }
  if (!on_gpu) return;
  const auto partial = [](const Tensor& x) { return kernels::PartialSum{x.const_data_ptr<float>(), x.stride(1), x.stride(2), x.stride(0), static_cast<int>(x.size(0))}; };
  kernels::unfold_gradients_cuda(folded.at.data(), static_cast<int>(folded.at.size()), partial(a_sum), partial(b_sum), a_sum.size(2), current_stream(a_sum));
}

/// Whether the kernel of sums takes these.
bool sums_by_kernel(const Tensor& g, const Tensor& x, int64_t pad) {
  const auto fits = [](const Tensor& m) { return !m.defined() || (m.size(1) % 8 == 0 && m.stride(0) % 8 == 0); };
  return g.is_cuda() && in_sixteen_bits(g) && 2 * pad / kernels::narrow_width <= kernels::token_sum_limit && fits(g) && fits(x) && kernels::cuda_compute_capability(g.device().index()) >= 80;
}

/// Those of narrow_g^T x and (narrow_x^T g)^T that are missing, in one launch.
void sum_over_tokens(const Tensor& g, const Tensor& narrow_g, const Tensor& x, const Tensor& narrow_x, FactorSums& missing) {
  const int64_t in = missing.a.defined() ? 0 : x.size(1), out = missing.b.defined() ? 0 : g.size(1), columns = in + out;
  const int64_t width = kernels::narrow_width, pad = narrow_g.size(1);
  std::vector<kernels::TokenSum> all;
  for (int64_t row = 0; row < pad; row += width) {
    if (in > 0) all.push_back({matrix_of(narrow_g.narrow(1, row, width)), matrix_of(x), in, row, 0});
    if (out > 0) all.push_back({matrix_of(narrow_x.narrow(1, row, width)), matrix_of(g), out, row, in});
  }
  const int parts = kernels::token_sum_parts(g.size(0), columns * pad / width);
  const Tensor sums = at::empty({parts, pad, columns}, g.options().dtype(at::kFloat));
  kernels::token_sums_cuda(all.data(), static_cast<int>(all.size()), {sums.mutable_data_ptr<float>(), parts, pad, columns}, real_type(g), g.size(0), current_stream(g));
  if (in > 0) missing.a = sums.narrow(2, 0, in);
  if (out > 0) missing.b = sums.narrow(2, in, out).transpose(1, 2);
}

}  // namespace

void FoldedLinears::input_gradient(const Tensor& g, Folded& folded, const Tensor& dx) const {
  ready(folded);
  const Tensor weights = folded.matrix.narrow(1, 0, in_);   // the factors A below them
  if (folded.pad > 0 && !std::exchange(folded.narrow_made, false)) {
    const Tensor narrow = beside(g, folded.pad);
    narrow_product_into(g, factors_b(folded), folded.ranks(), narrow);
    mask_updates(narrow, folded);
  }
  if (!dx.defined()) return release(folded);
  const Tensor frozen = weights.narrow(0, 0, out_), factors = weights.narrow(0, out_, folded.pad), narrow_g = beside(g, folded.pad);
  // The frozen product alone where the updates' stands apart from it; else both as one.
  const bool adds_updates = fp8_ && folded.pad > 0 && !folded.drops;
  if (adds_updates) product_into(narrow_g, factors, dx);
  if (fp8_) fp8_product_into(eight_bits_of(g, folded), (*fp8_)[1], dx, adds_updates ? dx : Tensor());
  else if (folded.drops) product_into(g, frozen, dx);
  else product_into(g.as_strided({g.size(0), out_ + folded.pad}, g.strides(), g.storage_offset()), weights, dx);
  for (size_t i = 0; folded.drops && i < folded.at.size(); ++i) {
    const kernels::Update& place = folded.at[i];
    Tensor(dx).add_(dropped(at::mm(narrow_g.narrow(1, place.row, place.rank), factors.narrow(0, place.row, place.rank)), folded, i));
  }
  release(folded);
}

bool FoldedLinears::has_one_update_each(const Folded& folded, int64_t most_rank) const {
  return !folded.drops && !folded.mixed && !folded.in_gain.defined() && folded.at.size() == layers_.size() &&
         std::ranges::all_of(folded.at, [&](const kernels::Update& update) { return update.rank <= most_rank && update.row % 8 == 0; });
}

void FoldedLinears::factor_gradients(const Tensor& g, const Tensor& x, const Tensor& narrow_x, Folded& folded, FactorSums sums) const {
  if (folded.pad == 0) return;
  const Tensor narrow_g = beside(g, folded.pad);
  if (!folded.drops && sums_by_kernel(g, x, folded.pad)) {
    sum_over_tokens(g, narrow_g, x, narrow_x, sums);
    return add_gradients(folded, sums.a, sums.b);
  }
  if (!sums.b.defined()) sums.b = wide_product(g.t(), narrow_x).unsqueeze(0);
  if (folded.drops) {
    sums.a = at::zeros({1, folded.pad, in_}, sums.b.options());
    for (size_t i = 0; i < folded.at.size(); ++i)
      sums.a[0].narrow(0, folded.at[i].row, folded.at[i].rank).copy_(wide_product(narrow_g.narrow(1, folded.at[i].row, folded.at[i].rank).t(), dropped(x, folded, i)));
  } else if (!sums.a.defined()) {
    sums.a = wide_product(narrow_g.t(), x).unsqueeze(0);
  }
  add_gradients(folded, sums.a, sums.b);
}

}  // namespace graft
