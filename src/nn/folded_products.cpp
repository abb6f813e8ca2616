// The products of folded linear layers: their input's narrow ones, and the output.
#include <ATen/ATen.h>

#include "folded_dropout.h"
#include "graft/nn/folded_linears.h"
#include "graft/ops/launch.h"
#include "graft/ops/narrow_product.h"
#include "graft/ops/product.h"
#include "graft/ops/row_gain.h"

namespace graft {

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

Tensor FoldedLinears::wide(int64_t rows, int64_t columns, const Folded& folded, const Tensor& like) const {
  return at::empty({rows, columns + folded.pad}, like.options()).narrow(1, 0, columns);
}

void FoldedLinears::narrow(const Tensor& x, const Folded& folded, const Tensor& copy) const {
  const Tensor narrow = beside(x, folded.pad), factors = factors_a(folded);
  const bool at_once = !folded.drops && !folded.mixed;
  if (!folded.drops) {
    narrow_product_into(x, factors.t(), folded.ranks(), narrow, {.narrow = at_once ? copy : Tensor()});
  } else {
    Tensor(narrow).zero_();
    for (size_t i = 0; i < folded.at.size(); ++i)
      narrow.narrow(1, folded.at[i].row, folded.at[i].rank).copy_(at::mm(dropped(x, folded, i), factors.narrow(0, folded.at[i].row, folded.at[i].rank).t()));
  }
  mask_updates(narrow, folded);
  if (copy.defined() && !at_once) copy_rows(narrow, copy);
}

void FoldedLinears::take_in(const Tensor& x, const Folded& folded, const Tensor& to) const {
  if (folded.pad == 0 || folded.drops) {
    copy_rows(x, to);
    if (folded.pad > 0) narrow(to, folded);
  } else {
    const Tensor narrow = beside(to, folded.pad);
    narrow_product_into(x, factors_a(folded).t(), folded.ranks(), narrow, {.x = to});
    mask_updates(narrow, folded);
  }
}

/// y = the frozen product and its updates (+ added); gains aside.
void FoldedLinears::multiply(const Tensor& x, Folded& folded, const Tensor& y, const Tensor& added) const {
  const Tensor weights = folded.matrix.narrow(0, 0, out_);
  if (!in_8_bits_) return product_into(x.as_strided({x.size(0), in_ + folded.pad}, x.strides(), x.storage_offset()), weights.t(), y, added);
  if (folded.pad > 0) product_into(beside(x, folded.pad), weights.narrow(1, in_, folded.pad).t(), y, added);
  fp8_product_into(eight_bits_of(x, folded), weights_in_8_bits(folded), y, folded.pad > 0 ? y : added);
}

void FoldedLinears::product(const Tensor& x, Folded& folded, const Tensor& y, const Tensor& added) const {
  check(!added.defined() || !folded.gain.defined(), "gains are of the product alone");
  multiply(x, folded, y, added);
  release(folded);
  if (folded.gain.defined()) scale_columns(y, folded.gain);
}

bool FoldedLinears::set_fp8(bool on) {
  at::NoGradGuard no_grad;
  codes_.reset(), turned_scales_.reset();
  in_8_bits_ = on && in_ % 16 == 0 && out_ % 16 == 0;
  if (!in_8_bits_) return false;
  const Tensor weights = frozen_in(matrix_of_pass(0));
  const Fp8Rows turned = to_fp8(weights.t().contiguous());
  if (keeps_dense()) codes_ = {to_fp8(weights), turned};
  else turned_scales_ = turned.scales;
  return true;
}

Fp8Rows FoldedLinears::weights_in_8_bits(const Folded& folded) const { return codes_ ? (*codes_)[0] : to_fp8(frozen_in(folded.matrix)); }
Fp8Rows FoldedLinears::turned_weights_in_8_bits(const Folded& folded) const { return codes_ ? (*codes_)[1] : turned_to_fp8(frozen_in(folded.matrix), turned_scales_); }

}  // namespace graft
