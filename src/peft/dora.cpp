#include "graft/peft/dora.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "factor_gradients.h"
#include "graft/core/error.h"
#include "graft/ops/dropout.h"
#include "graft/ops/launch.h"
#include "graft/ops/row_gain.h"
#include "graft/peft/adapter_options.h"
#include "graft/peft/init.h"

namespace graft {
namespace {

using Context = torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// y = gain * (W x + s B A x) + bias, the norm in the gain held. Keeps x, A x and what the gain made.
class Decomposed : public torch::autograd::Function<Decomposed> {
 public:
  static Tensor forward(Context* context, const Tensor& x, const Tensor& a, const Tensor& b, const Tensor& magnitude, const Tensor& narrow_a, const Tensor& gain,
                        const Site* site, double scale) {   // narrow_a: a in x's type
    const Tensor input = matrix(x);
    const Tensor narrow = product(input, narrow_a);
    Tensor y = site->frozen_linear(x);
    matrix(y).addmm_(narrow, b.to(x.scalar_type()).t(), 1, scale).mul_(gain);
    context->save_for_backward({input, narrow, narrow_a, b, magnitude, gain, matrix(y)});
    context->saved_data["site"] = reinterpret_cast<int64_t>(site);
    context->saved_data["scale"] = scale;
    const Tensor bias = site->bias();
    return bias.defined() ? y + bias : y;
  }

  static variable_list backward(Context* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &narrow = saved[1], &a = saved[2], &b = saved[3], &magnitude = saved[4];
    const auto* site = reinterpret_cast<const Site*>(context->saved_data["site"].toInt());
    const double scale = context->saved_data["scale"].toDouble();
    const auto [g, magnitude_grad] = row_gain_backward(matrix(grads[0]), saved[6], saved[5], magnitude);   // g: of W x + s B A x
    const auto [narrow_grad, a_grad, b_grad] = factor_gradients(g, input, narrow, b, scale);
    Tensor x_grad;
    if (context->needs_input_grad(0)) {
      x_grad = site->weight()->matmul_grad(g.view(grads[0].sizes()));
      matrix(x_grad).addmm_(narrow_grad, a);
    }
    return {x_grad, a_grad, b_grad, magnitude_grad, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

class DoraMethod : public LowRankMethod {
 public:
  explicit DoraMethod(const DoraOptions& options) : LowRankMethod(options) {}
  std::shared_ptr<Adapter> make(const Site& site, const GraftSetting& setting) override {
    const std::string& path = site.path();
    const int64_t rank = low_rank_.rank_at(path);
    auto adapter = std::make_shared<DoraAdapter>(site, rank, low_rank_.scale_at(path), low_rank_.dropout);
    adapter->set(kaiming_values({rank, site.weight()->in_features()}, setting.seed, path + ".lora_A"), {});
    return adapter;
  }
  FileForm file_form() const override { return FileForm::peft; }
  Json file_config(const Transformer&, const std::string&) const override {
    Json config = low_rank_.peft_config();
    config["use_dora"] = true;
    return config;
  }
};

}  // namespace

DoraAdapter::DoraAdapter(const Site& site, int64_t rank, double scale, double dropout) : LoraAdapter(site, rank, scale, dropout), weight_(site.weight()) {
  at::NoGradGuard no_grad;
  const bool outline = site.device().is_meta();
  const Tensor start = outline ? at::ones({weight_->out_features()}, adapter_options(site)) : at::linalg_vector_norm(weight_->dense(at::kFloat), 2, at::IntArrayRef{1});
  magnitude_ = register_parameter("lora_magnitude_vector", start.clone());
}

const Tensor& DoraAdapter::base_squares() const {
  at::NoGradGuard no_grad;
  if (!base_squares_.defined()) base_squares_ = weight_->dense(wide_type(weight_->dtype())).square().sum(1);
  return base_squares_;
}

Tensor DoraAdapter::gain(const Tensor& narrow_a) const {
  at::NoGradGuard no_grad;
  return row_gain(magnitude_, base_squares(), weight_->matmul(narrow_a), a_, b_, scale_, narrow_a);
}

std::optional<LowRank> DoraAdapter::trained_factors() const {
  if (dropout_ > 0) return std::nullopt;
  return LowRank{.a = a_, .b = b_, .scale = scale_, .site = site_hash_, .magnitude = magnitude_, .squares = base_squares()};
}

Tensor DoraAdapter::norm() const { return magnitude_.to(at::kDouble) / gain(a_.to(weight_->dtype())).to(at::kDouble); }

Tensor DoraAdapter::forward(const Tensor& x, const Frozen& base, const Batch& batch) {
  const Tensor narrow_a = a_.detach().to(x.scalar_type()), held = gain(narrow_a);
  if (!batch.training || dropout_ == 0) return Decomposed::apply(x, a_, b_, magnitude_, narrow_a, held, &base.site, scale_);
  const Tensor dropped = graft::dropout(x, dropout_, dropout_key(batch, site_hash_), batch.segments, batch.positions);
  const Tensor gain = (magnitude_ * (held / magnitude_.detach())).to(x.scalar_type());   // held, but for the magnitude's gradient
  const Tensor update = at::linear(at::linear(dropped, a_.to(x.scalar_type())), b_.to(x.scalar_type())) * scale_;
  return base(x) + (gain - 1) * base.linear(dropped) + gain * update;
}

std::optional<WeightAndBias> DoraAdapter::merged(const WeightAndBias& base) const {
  at::NoGradGuard no_grad;
  const Tensor sum = base.weight + delta().to(base.weight.device());
  const Tensor gain = magnitude_.to(sum.device()) / at::linalg_vector_norm(sum, 2, at::IntArrayRef{1});
  return WeightAndBias{sum * gain.unsqueeze(1), base.bias};
}

const MethodRow dora_method = {
    "dora", "LoRA whose result is rescaled row by row by a trained magnitude", {2e-4, 1e-6, 5e-3}, make_method_of<DoraMethod, DoraOptions>,
    [](const Json& config) { return config.value("peft_type", "") == "LORA" && config.value("use_dora", false); },
    [](PeftFields& fields) -> MethodOptions {
      DoraOptions options;
      options.take(fields);
      return options;
    }};

}  // namespace graft
