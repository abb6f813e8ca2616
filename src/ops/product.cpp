#include "graft/ops/product.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "gpu_product.h"
#include "graft/ops/launch.h"

namespace graft {
namespace {

using Linear = Tensor(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, std::string_view after, c10::List<std::optional<at::Scalar>> scalars,
                      std::optional<std::string_view> algorithm);

constexpr int64_t worth_a_primitive = 64 * 64 * 64;

/// Rows of wider ones would go to oneDNN's reference text, a thousand times slower.
bool takes_onednn(const Tensor& x, const Tensor& weight) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat && at::hasMKLDNN() && (weight.is_contiguous() || weight.t().is_contiguous()) &&
         x.numel() * weight.size(0) >= worth_a_primitive;
}

}  // namespace

Tensor product(const Tensor& x, const Tensor& weight) {
  if (!takes_onednn(x, weight)) return at::linear(x, weight);
  static const auto linear = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Linear>();
  return linear.call(x, weight, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

void product_into(const Tensor& x, const Tensor& weight, const Tensor& y, const Tensor& added) {
  if (y.is_cuda() && in_sixteen_bits(y) && y.numel() > 0 && gpu_product(x, weight, y, added)) return;
  Tensor to = y;
  if (!added.defined()) at::mm_out(to, x, weight);
  else if (added.is_same(y)) to.addmm_(x, weight);
  else at::addmm_out(to, added, x, weight);
}

}  // namespace graft
