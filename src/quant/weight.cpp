#include "graft/quant/weight.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/product.h"

namespace graft {
namespace {

class FrozenMatmul : public torch::autograd::Function<FrozenMatmul> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Weight* weight) {
    context->saved_data["weight"] = reinterpret_cast<int64_t>(weight);  // the model outlives its graphs
    return weight->matmul(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto* weight = reinterpret_cast<const Weight*>(context->saved_data["weight"].toInt());
    return {weight->matmul_grad(grads[0]), Tensor()};
  }
};

}  // namespace

Tensor Weight::rows(const Tensor& ids) const { return at::embedding(dense(dtype()), ids); }
Tensor Weight::matmul(const Tensor& x) const { return product(x, dense(dtype())); }
Tensor Weight::matmul_grad(const Tensor& g) const { return product(g, dense(dtype()).t()); }

DenseWeight::DenseWeight(Tensor value) : value_(register_buffer("value", std::move(value))) {}

void DenseWeight::settle(const Tensor& rows) {
  at::NoGradGuard no_grad;
  rows.copy_(value_);
  value_.set_data(rows);   // the buffer's name stays
}

FrozenHead frozen_head(const Weight& weight) {
  const auto on_gpu = [](const Tensor& x, const Tensor& w) {
    const Tensor y = at::empty({x.size(0), w.size(1)}, x.options());
    product_into(x, w, y);
    return y;
  };
  return {[=, &weight](const Tensor& h) { return h.is_cuda() ? on_gpu(h, weight.dense(weight.dtype()).t()) : weight.matmul(h); },
          [=, &weight](const Tensor& g) { return g.is_cuda() ? on_gpu(g, weight.dense(weight.dtype())) : weight.matmul_grad(g); }};
}

Tensor frozen_matmul(const Tensor& x, const Weight& weight) { return FrozenMatmul::apply(x, &weight); }

}  // namespace graft
