#include "graft/peft/qat.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/core/error.h"
#include "graft/quant/quantized_tensor.h"

namespace graft {
namespace {

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// The rounded sum of weight and update, as codes: half a byte or one a number is all that the backward pass keeps.
QuantizedTensor rounded_weight(const Site& site, const std::optional<LowRank>& update, const Scheme& scheme) {
  Tensor weight = site.weight()->dense(at::kFloat);
  if (update) weight = at::addmm(weight, update->b, update->a, 1, update->scale);
  return quantize(weight, scheme, site.path());
}

/// y = x Q(W + s B A)^T. With the rounding as the identity, the update's gradients are those of s B A alone.
class FakeQuantizedProduct : public torch::autograd::Function<FakeQuantizedProduct> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& a, const Tensor& b, const Site* site, const Scheme* scheme, double scale) {
    const auto update = a.defined() ? std::optional(LowRank{a, b, scale}) : std::nullopt;
    const QuantizedTensor weight = rounded_weight(*site, update, *scheme);
    context->save_for_backward({x, a, b, weight.codes, weight.scale, weight.zero});
    context->saved_data["site"] = reinterpret_cast<int64_t>(site);   // the model outlives its graphs
    context->saved_data["scheme"] = reinterpret_cast<int64_t>(scheme);
    context->saved_data["scale"] = scale;
    return at::linear(x, dequantize(weight, x.scalar_type()));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &a = saved[1], &b = saved[2];
    const auto* site = reinterpret_cast<const Site*>(context->saved_data["site"].toInt());
    const double scale = context->saved_data["scale"].toDouble();
    QuantizedTensor weight{.scheme = *reinterpret_cast<const Scheme*>(context->saved_data["scheme"].toInt()),
                           .shape = {site->weight()->out_features(), site->weight()->in_features()}};
    weight.codes = saved[3], weight.scale = saved[4], weight.zero = saved[5];
    const Tensor& grad = grads[0];
    Tensor x_grad, a_grad, b_grad;
    if (context->needs_input_grad(0)) x_grad = at::matmul(grad, dequantize(weight, grad.scalar_type()));
    if (a.defined()) {
      const Tensor g = matrix(grad), input = matrix(x);
      const Tensor narrow = at::mm(input, a.to(input.scalar_type()).t()), narrow_grad = at::mm(g, b.to(g.scalar_type()));
      b_grad = at::mm(g.t(), narrow).to(b.scalar_type()).mul_(scale);
      a_grad = at::mm(narrow_grad.t(), input).to(a.scalar_type()).mul_(scale);
    }
    return {x_grad, a_grad, b_grad, Tensor(), Tensor(), Tensor()};
  }
};

class FakeQuantizedAdapter : public Adapter {
 public:
  /// `inner` may be null: rounding alone.
  FakeQuantizedAdapter(std::shared_ptr<Adapter> inner, const Scheme& scheme, int64_t start_step) : inner_(std::move(inner)), scheme_(scheme), start_step_(start_step) {
    if (!inner_) return;
    // Parameters keep their names.
    for (const auto& child : inner_->named_children()) register_module(child.key(), child.value());
    for (const auto& own : inner_->named_parameters(/*recurse=*/false)) register_parameter(own.key(), own.value(), own.value().requires_grad());
  }
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override {
    if (batch.training && batch.step < start_step_) return inner_ ? inner_->forward(x, base, batch) : base(x);
    const auto update = low_rank().value_or(LowRank{});
    const Tensor y = FakeQuantizedProduct::apply(x, update.a, update.b, &base.site, &scheme_, update.scale);
    const Tensor bias = base.site.bias();
    return bias.defined() ? y + bias : y;
  }
  std::optional<LowRank> low_rank() const override { return inner_ ? inner_->low_rank() : std::nullopt; }
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override { return inner_ ? inner_->merged(base) : base; }

 private:
  std::shared_ptr<Adapter> inner_;
  Scheme scheme_;
  int64_t start_step_;
};

}  // namespace

void add_fake_quantization(Transformer& model, const std::string& name, const QuantizationOptions& options, const Log& log) {
  const auto scheme = scheme_of(options.qat);
  if (!scheme) return;
  int64_t rounded = 0;
  for (Site* site : model.sites()) {
    const auto inner = site->adapter(name);
    const bool stored = site->kind() == SiteKind::linear && scheme_for_qat(options, site->path());
    if (!inner && !stored) continue;
    require(!inner || inner->low_rank(), "quantization.qat rounds weight and update together; the adapter at {} is no low-rank update", site->path());
    if (!stored) continue;
    if (inner) site->unseat(name);
    site->seat(name, std::make_shared<FakeQuantizedAdapter>(inner, *scheme, options.qat.start_step));
    ++rounded;
  }
  log.info("quantisation-aware: {} matrices are rounded to {} in the forward pass{}", rounded, describe(*scheme),
           options.qat.start_step > 0 ? fmt::format(" from step {}", options.qat.start_step) : std::string());
}

}  // namespace graft
