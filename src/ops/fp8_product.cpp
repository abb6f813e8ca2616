#include "graft/ops/fp8_product.h"

#include <ATen/ATen.h>

#include <limits>

#include "gpu_product.h"
#include "graft/ops/launch.h"

namespace graft {

Fp8Rows room_for_fp8(const Tensor& x) {
  return {at::empty({x.size(0), x.size(1)}, x.options().dtype(at::kFloat8_e4m3fn)), at::empty({x.size(0), 1}, x.options().dtype(at::kFloat))};
}

kernels::Fp8Codes codes_of(const Fp8Rows& rows) { return {static_cast<uint8_t*>(rows.values.mutable_data_ptr()), rows.scales.mutable_data_ptr<float>()}; }

Fp8Rows to_fp8(const Tensor& x) {
  if (has_gpu_kernel(x)) {
    const Fp8Rows y = room_for_fp8(x);
    kernels::fp8_rows_cuda(matrix_of(x), codes_of(y), real_type(x), x.size(0), x.size(1), current_stream(x));
    return y;
  }
  const Tensor numbers = x.to(at::kFloat), most = std::get<0>(numbers.abs().max(1, /*keepdim=*/true));
  const Tensor empty = most.eq(0), inverse = (448 / most).masked_fill(empty, 1), scale = (most / 448).masked_fill(empty, 1);
  return {(numbers * inverse).to(at::kFloat8_e4m3fn), scale.masked_fill(most.isfinite().logical_not(), std::numeric_limits<float>::quiet_NaN())};
}

Fp8Rows turned_to_fp8(const Tensor& x, const Tensor& scales) {
  const auto in_sixteens = [](int64_t size) { return size % 16 == 0; };
  if (has_gpu_kernel(x) && in_sixteen_bits(x) && in_eights(x) && in_sixteens(x.size(0)) && in_sixteens(x.size(1))) {
    const Fp8Rows y{at::empty({x.size(1), x.size(0)}, x.options().dtype(at::kFloat8_e4m3fn)), scales};
    kernels::fp8_turned_cuda(matrix_of(x), codes_of(y).values, scales.const_data_ptr<float>(), real_type(x), x.size(0), x.size(1), current_stream(x));
    return y;
  }
  return {(x.t().to(at::kFloat) * scales.reciprocal()).to(at::kFloat8_e4m3fn).contiguous(), scales};
}

void fp8_product_into(const Fp8Rows& x, const Fp8Rows& weights, const Tensor& y, const Tensor& added) {
  Tensor to = y;
  if (y.is_cuda() && y.scalar_type() == at::kBFloat16) {
    if (gpu_product(x.values, weights.values.t(), y, added, x.scales, weights.scales)) return;
    Tensor product = added.defined() ? at::empty_like(y) : y;
    at::_scaled_mm_out(product, x.values, weights.values.t(), x.scales, weights.scales.t(), {}, {}, y.scalar_type(), /*use_fast_accum=*/true);
    if (added.defined()) at::add_out(to, added, product);
    return;
  }
  const at::ScalarType wide = wide_type(y);
  const auto numbers = [&](const Fp8Rows& rows) { return rows.values.to(wide) * rows.scales.to(wide); };
  const Tensor product = at::mm(numbers(x), numbers(weights).t());
  to.copy_(added.defined() ? product + added : product);
}

}  // namespace graft
