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
void add_gradients(std::span<FactorWork> all) {
  std::vector<kernels::Unfold> on_gpu;
  const auto partial = [](const Tensor& x) { return kernels::PartialSum{x.const_data_ptr<float>(), x.stride(1), x.stride(2), x.stride(0), static_cast<int>(x.size(0))}; };
  for (FactorWork& work : all) {
    auto& [a_sum, b_sum] = work.sums;
    const bool by_kernel = a_sum.is_cuda() && a_sum.scalar_type() == at::kFloat;
    for (size_t i = 0; i < work.folded->at.size(); ++i) {
      kernels::Update& place = work.folded->at[i];
      const LowRank& update = work.folded->updates[i];
      Tensor a_grad = gradient_of(update.trained_a()), b_grad = gradient_of(update.trained_b());
      if (by_kernel) {
        place.a_grad = a_grad.mutable_data_ptr<float>(), place.b_grad = b_grad.mutable_data_ptr<float>();
      } else {
        add_to(a_grad, a_sum[0].narrow(0, place.row, place.rank), update.a, place.scale);
        add_to(b_grad, b_sum[0].narrow(0, place.first, place.out).narrow(1, place.row, place.rank), update.b, 1);
      }
    }
    if (by_kernel) on_gpu.push_back({work.folded->at.data(), static_cast<int>(work.folded->at.size()), partial(a_sum), partial(b_sum), a_sum.size(2)});
  }
  if (!on_gpu.empty()) kernels::unfold_gradients_cuda(on_gpu.data(), static_cast<int>(on_gpu.size()), current_stream(all.front().g));
}

/// Whether the kernel of sums takes these.
bool sums_by_kernel(const FactorWork& work) {
  const auto fits = [](const Tensor& m) { return !m.defined() || (m.size(1) % 8 == 0 && m.stride(0) % 8 == 0); };
  const Tensor& g = work.g;
  return !work.folded->drops && g.is_cuda() && in_sixteen_bits(g) && 2 * work.folded->pad / kernels::narrow_width <= kernels::token_sum_limit && fits(g) && fits(work.x) &&
         kernels::cuda_compute_capability(g.device().index()) >= 80;
}

/// Those of (g B)^T x and (narrow_x^T g)^T that are missing, in one launch: of as many as have the same pad and together not too many pieces. How many it were.
size_t sum_over_tokens(std::span<FactorWork* const> all) {
  const int64_t width = kernels::narrow_width, pad = all.front()->folded->pad;
  std::vector<kernels::TokenSum> pieces;
  int64_t columns = 0;
  size_t count = 0;
  const auto missing = [](const FactorWork& work) { return std::pair<int64_t, int64_t>(work.sums.a.defined() ? 0 : work.x.size(1), work.sums.b.defined() ? 0 : work.g.size(1)); };
  for (; count < all.size() && all[count]->folded->pad == pad; ++count) {
    const FactorWork& work = *all[count];
    const auto [in, out] = missing(work);
    if (std::ssize(pieces) + pad / width * ((in > 0) + (out > 0)) > kernels::token_sum_limit) break;
    const Tensor narrow_g = beside(work.g, pad);
    for (int64_t row = 0; row < pad; row += width) {
      if (in > 0) pieces.push_back({matrix_of(narrow_g.narrow(1, row, width)), matrix_of(work.x), in, row, columns});
      if (out > 0) pieces.push_back({matrix_of(work.narrow_x.narrow(1, row, width)), matrix_of(work.g), out, row, columns + in});
    }
    columns += in + out;
  }
  if (columns == 0) return count;
  const Tensor& g = all.front()->g;
  const int parts = kernels::token_sum_parts(g.size(0), columns * pad / width);
  const Tensor sums = at::empty({parts, pad, columns}, g.options().dtype(at::kFloat));
  kernels::token_sums_cuda(pieces.data(), static_cast<int>(pieces.size()), {sums.mutable_data_ptr<float>(), parts, pad, columns}, real_type(g), g.size(0), current_stream(g));
  int64_t at = 0;
  for (FactorWork* work : all.first(count)) {
    const auto [in, out] = missing(*work);
    if (in > 0) work->sums.a = sums.narrow(2, at, in);
    if (out > 0) work->sums.b = sums.narrow(2, at + in, out).transpose(1, 2);
    at += in + out;
  }
  return count;
}

/// The same by LibTorch's products; each update's own input where it is dropped.
void sum_by_products(FactorWork& work) {
  auto& [g, x, narrow_x, folded, sums] = work;
  const Tensor narrow_g = beside(g, folded->pad);
  if (!sums.b.defined()) sums.b = wide_product(g.t(), narrow_x).unsqueeze(0);
  if (folded->drops) {
    sums.a = at::zeros({1, folded->pad, x.size(1)}, sums.b.options());
    for (size_t i = 0; i < folded->at.size(); ++i)
      sums.a[0].narrow(0, folded->at[i].row, folded->at[i].rank).copy_(wide_product(narrow_g.narrow(1, folded->at[i].row, folded->at[i].rank).t(), dropped(x, *folded, i)));
  } else if (!sums.a.defined()) {
    sums.a = wide_product(narrow_g.t(), x).unsqueeze(0);
  }
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
  const bool adds_updates = in_8_bits_ && folded.pad > 0 && !folded.drops;
  if (adds_updates) product_into(narrow_g, factors, dx);
  if (in_8_bits_) fp8_product_into(eight_bits_of(g, folded), turned_weights_in_8_bits(folded), dx, adds_updates ? dx : Tensor());
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

void FoldedLinears::add_factor_gradients(std::span<FactorWork> all) {
  std::vector<FactorWork*> by_kernel;
  for (FactorWork& work : all)
    if (sums_by_kernel(work)) by_kernel.push_back(&work);
    else sum_by_products(work);
  for (std::span<FactorWork*> left = by_kernel; !left.empty();) left = left.subspan(sum_over_tokens(left));
  add_gradients(all);
}

}  // namespace graft
