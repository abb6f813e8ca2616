#include "low_rank_update.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "factor_gradients.h"

namespace graft {
namespace {

using Context = torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }  // [.., n] -> [rows, n]

std::vector<int64_t> shape_like(const Tensor& grad, int64_t columns) {
  auto shape = grad.sizes().vec();
  shape.back() = columns;
  return shape;
}

class Update : public torch::autograd::Function<Update> {
 public:
  static Tensor forward(Context* context, const Tensor& x, const Tensor& z, const Tensor& a, const Tensor& b, const Site* site, double scale, bool apart) {
    const Tensor input = matrix(z);
    const Tensor narrow = product(input, a.to(x.scalar_type()));  // [rows, rank]
    Tensor y = site->frozen(x);
    matrix(y).addmm_(narrow, b.to(x.scalar_type()).t(), 1, scale);
    context->save_for_backward({input, narrow, a, b});
    context->saved_data["site"] = reinterpret_cast<int64_t>(site);
    context->saved_data["scale"] = scale;
    context->saved_data["apart"] = apart;
    return y;
  }

  static variable_list backward(Context* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &narrow = saved[1], &a = saved[2], &b = saved[3];
    const auto* site = reinterpret_cast<const Site*>(context->saved_data["site"].toInt());
    const double scale = context->saved_data["scale"].toDouble();
    const bool apart = context->saved_data["apart"].toBool();
    const Tensor grad = grads[0].contiguous(), g = matrix(grad);
    const auto [narrow_grad, a_grad, b_grad] = factor_gradients(g, input, narrow, b, scale);
    Tensor x_grad, z_grad;
    if (context->needs_input_grad(0)) x_grad = site->weight()->matmul_grad(grad);
    if (apart && context->needs_input_grad(1)) z_grad = at::mm(narrow_grad, a.to(g.scalar_type())).view(shape_like(grad, input.size(1)));
    if (!apart && x_grad.defined()) matrix(x_grad).addmm_(narrow_grad, a.to(g.scalar_type()));
    return {x_grad, z_grad, a_grad, b_grad, Tensor(), Tensor(), Tensor()};
  }
};

/// Updates of one rank on equally many rows each: the narrow products are batched, the base's is one. x: [parts * rows, .., in].
class StackedUpdates : public torch::autograd::Function<StackedUpdates> {
 public:
  static Tensor forward(Context* context, const Tensor& x, const Tensor& a, const Tensor& b, const Site* site) {   // [parts, rank, in], [parts, out, rank]
    const int64_t parts = a.size(0);
    const Tensor input = x.reshape({parts, -1, x.size(-1)});
    const Tensor narrow = at::bmm(input, a.transpose(1, 2));
    Tensor y = site->frozen(x);
    y.view({parts, -1, y.size(-1)}).baddbmm_(narrow, b.transpose(1, 2));
    context->save_for_backward({input, narrow, a, b});
    context->saved_data["site"] = reinterpret_cast<int64_t>(site);
    return y;
  }

  static variable_list backward(Context* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &narrow = saved[1], &a = saved[2], &b = saved[3];
    const auto* site = reinterpret_cast<const Site*>(context->saved_data["site"].toInt());
    const Tensor grad = grads[0].contiguous(), g = grad.view({a.size(0), -1, grad.size(-1)});
    const Tensor narrow_grad = at::bmm(g, b);
    const Tensor b_grad = at::bmm(narrow.transpose(1, 2), g).transpose(1, 2), a_grad = at::bmm(narrow_grad.transpose(1, 2), input);
    Tensor x_grad;
    if (context->needs_input_grad(0)) {
      x_grad = site->weight()->matmul_grad(grad);
      x_grad.view({a.size(0), -1, x_grad.size(-1)}).baddbmm_(narrow_grad, a);
    }
    return {x_grad, a_grad, b_grad, Tensor()};
  }
};

}  // namespace

Tensor low_rank_update(const Tensor& x, const Tensor& z, const LowRank& update, const Site& site) {
  return Update::apply(x, z, update.a, update.b, &site, update.scale, !z.is_same(x));
}

Tensor low_rank_updates(const Tensor& x, const std::vector<LowRank>& updates, const std::vector<int64_t>& rows, const Site& site) {
  const auto differs = [&](size_t i) { return rows[i] != rows[0] || updates[i].a.size(0) != updates[0].a.size(0); };
  bool equal = true;
  for (size_t i = 1; i < rows.size(); ++i) equal = equal && !differs(i);
  if (equal) {
    std::vector<Tensor> a, b;
    for (const LowRank& update : updates) a.push_back(update.a), b.push_back(update.b * update.scale);
    return StackedUpdates::apply(x, at::stack(a).to(x.scalar_type()), at::stack(b).to(x.scalar_type()), &site);
  }
  // The sum of the parts' updates, each on its rows, on one product of the base.
  const Tensor y = site.frozen(x);
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Tensor narrow = at::linear(x.narrow(0, begin, rows[i]), updates[i].a.to(x.scalar_type()));
    parts.push_back(at::linear(narrow, (updates[i].b * updates[i].scale).to(x.scalar_type())));
    begin += rows[i];
  }
  return y + at::cat(parts);
}

}  // namespace graft
