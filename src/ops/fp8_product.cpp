#include "graft/ops/fp8_product.h"

#include <ATen/ATen.h>

#include <limits>

#include "graft/ops/launch.h"

namespace graft {

Fp8Rows to_fp8(const Tensor& x) {
  const int64_t rows = x.size(0), columns = x.size(1);
  if (has_gpu_kernel(x)) {
    const Fp8Rows y{at::empty({rows, columns}, x.options().dtype(at::kFloat8_e4m3fn)), at::empty({rows, 1}, x.options().dtype(at::kFloat))};
    kernels::fp8_rows_cuda(matrix_of(x), static_cast<uint8_t*>(y.values.mutable_data_ptr()), y.scales.mutable_data_ptr<float>(), real_type(x), rows, columns, current_stream(x));
    return y;
  }
  const Tensor numbers = x.to(at::kFloat), most = std::get<0>(numbers.abs().max(1, /*keepdim=*/true));
  const Tensor empty = most.eq(0), inverse = (448 / most).masked_fill(empty, 1), scale = (most / 448).masked_fill(empty, 1);
  return {(numbers * inverse).to(at::kFloat8_e4m3fn), scale.masked_fill(most.isfinite().logical_not(), std::numeric_limits<float>::quiet_NaN())};
}

void fp8_product_into(const Fp8Rows& x, const Fp8Rows& weights, const Tensor& y) {
  Tensor to = y;
  if (y.is_cuda() && y.scalar_type() == at::kBFloat16) {
    at::_scaled_mm_out(to, x.values, weights.values.t(), x.scales, weights.scales.t(), {}, {}, y.scalar_type(), /*use_fast_accum=*/true);
    return;
  }
  const at::ScalarType wide = wide_type(y);
  const auto numbers = [&](const Fp8Rows& rows) { return rows.values.to(wide) * rows.scales.to(wide); };
  to.copy_(at::mm(numbers(x), numbers(weights).t()));
}

}  // namespace graft
