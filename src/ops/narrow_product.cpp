#include "graft/ops/narrow_product.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "graft/ops/launch.h"

namespace graft {
namespace {

bool has_kernel(const Tensor& x, const Tensor& factors, int64_t used, const Tensor& narrow, const Tensor& x_copy) {
  return x.is_cuda() && in_sixteen_bits(x) && used <= kernels::most_narrow_used && x.size(1) % 32 == 0 && std::ranges::all_of(std::array{x, factors, narrow}, in_eights) &&
         (!x_copy.defined() || in_eights(x_copy)) && kernels::cuda_compute_capability(x.device().index()) >= 80;
}

}  // namespace

void narrow_product_into(const Tensor& x, const Tensor& factors, int64_t used, const Tensor& narrow, const NarrowCopies& copies) {
  const bool across = factors.stride(1) == 1;
  const Tensor rows = across ? factors : factors.t();
  if (has_kernel(x, rows, used, narrow, copies.x))
    return kernels::narrow_product_cuda(matrix_of(x), matrix_of(rows), across, matrix_of(narrow), {matrix_of(copies.narrow), matrix_of(copies.x)}, real_type(x), x.size(0),
                                        x.size(1), used, narrow.size(1), current_stream(x));
  Tensor to = narrow;
  at::mm_out(to, x, factors);
  if (copies.narrow.defined()) copy_rows(narrow, copies.narrow);
  if (copies.x.defined()) copy_rows(x, copies.x);
}

}  // namespace graft
