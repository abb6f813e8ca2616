#include "graft/peft/lora.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/ops/dropout.h"
#include "graft/peft/target_patterns.h"

namespace graft {
namespace {

/// A factor with the name that PEFT's files give it: lora_A.weight.
struct Factor : torch::nn::Module {
  explicit Factor(Tensor value) { weight = register_parameter("weight", std::move(value)); }
  Tensor weight;
};

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }  // [.., n] -> [rows, n]

/// y = base(x) + s * B(A(z)) as one node, where z is x, or x after dropout (`apart`). Keeps z and A z alone.
class LowRankUpdate : public torch::autograd::Function<LowRankUpdate> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& z, const Tensor& a, const Tensor& b,
                        const Site* site, double scale, bool apart) {
    const Tensor input = matrix(z);
    const Tensor narrow = at::mm(input, a.to(x.scalar_type()).t());  // [rows, rank]
    Tensor y = site->frozen(x);
    matrix(y).addmm_(narrow, b.to(x.scalar_type()).t(), 1, scale);
    context->save_for_backward({input, narrow, a, b});
    context->saved_data["site"] = reinterpret_cast<int64_t>(site);
    context->saved_data["scale"] = scale;
    context->saved_data["apart"] = apart;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &narrow = saved[1], &a = saved[2], &b = saved[3];
    const auto* site = reinterpret_cast<const Site*>(context->saved_data["site"].toInt());
    const double scale = context->saved_data["scale"].toDouble();
    const bool apart = context->saved_data["apart"].toBool();
    const Tensor grad = grads[0].contiguous(), g = matrix(grad);
    const Tensor narrow_grad = at::mm(g, b.to(g.scalar_type())).mul_(scale);  // [rows, rank]
    const Tensor b_grad = at::mm(g.t(), narrow).to(b.scalar_type()).mul_(scale);
    const Tensor a_grad = at::mm(narrow_grad.t(), input).to(a.scalar_type());
    Tensor x_grad, z_grad;
    if (context->needs_input_grad(0)) x_grad = site->weight()->matmul_grad(grad);
    if (apart && context->needs_input_grad(1)) z_grad = at::mm(narrow_grad, a.to(g.scalar_type())).view(grad_shape(grad, input));
    if (!apart && x_grad.defined()) matrix(x_grad).addmm_(narrow_grad, a.to(g.scalar_type()));
    return {x_grad, z_grad, a_grad, b_grad, Tensor(), Tensor(), Tensor()};
  }

 private:
  static std::vector<int64_t> grad_shape(const Tensor& grad, const Tensor& input) {
    auto shape = grad.sizes().vec();
    shape.back() = input.size(1);
    return shape;
  }
};

class LoraMethod : public Method {
 public:
  explicit LoraMethod(LoraOptions options) : options_(std::move(options)) {}
  bool adapts(SiteKind kind) const override { return kind == SiteKind::linear; }

  std::shared_ptr<Adapter> make(const Site& site, uint64_t seed) const override {
    int64_t rank = options_.rank;
    double alpha = options_.alpha;
    for (const auto& [key, value] : options_.rank_pattern)
      if (matches_pattern_key(site.path(), key)) { rank = value; break; }
    for (const auto& [key, value] : options_.alpha_pattern)
      if (matches_pattern_key(site.path(), key)) { alpha = value; break; }
    require(rank >= 1, "adapter.rank_pattern: rank {} for {}: expected at least 1", rank, site.path());
    const double scale = alpha / (options_.rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
    auto adapter = std::make_shared<LoraAdapter>(site, rank, scale, options_.dropout);
    adapter->initialize(options_.init, seed, site.path());
    return adapter;
  }

  double lr_scale(std::string_view parameter) const override {
    return parameter.find("lora_B") != std::string_view::npos ? options_.lora_plus_ratio : 1.0;
  }

 private:
  LoraOptions options_;
};

}  // namespace

LoraAdapter::LoraAdapter(const Site& site, int64_t rank, double scale, double dropout)
    : scale_(scale), dropout_(dropout), site_hash_(static_cast<uint32_t>(hash_of(site.path()))) {
  const Weight& weight = *site.weight();
  // An outline's weights lie nowhere; its adapters hold real values on the CPU.
  const auto options = at::TensorOptions(at::kFloat).device(weight.device().is_meta() ? at::Device(at::kCPU) : weight.device());
  a_ = register_module("lora_A", std::make_shared<Factor>(at::zeros({rank, weight.in_features()}, options)))->weight;
  b_ = register_module("lora_B", std::make_shared<Factor>(at::zeros({weight.out_features(), rank}, options)))->weight;
}

void LoraAdapter::initialize(const std::string& init, uint64_t seed, const std::string& path) {
  at::NoGradGuard no_grad;
  Tensor values = at::empty(a_.sizes(), at::kFloat);
  const auto stream = static_cast<uint32_t>(hash_of(path + ".lora_A"));
  float* out = values.mutable_data_ptr<float>();
  if (init == "gaussian")
    kernels::normal_cpu(out, values.numel(), 1.0f / static_cast<float>(a_.size(0)), seed, stream);
  else
    kernels::uniform_cpu(out, values.numel(), 1.0f / std::sqrt(static_cast<float>(a_.size(1))), seed, stream);
  a_.copy_(values);
}

Tensor LoraAdapter::forward(const Tensor& x, const Frozen& base, const Batch& batch) {
  if (!batch.training || dropout_ == 0) return LowRankUpdate::apply(x, x, a_, b_, &base.site, scale_, false);
  const kernels::DropoutKey key{batch.seed, site_hash_, static_cast<uint32_t>(batch.step)};
  const Tensor dropped = dropout(x, dropout_, key, batch.segments, batch.positions);
  return LowRankUpdate::apply(x, dropped, a_, b_, &base.site, scale_, true);
}

Tensor LoraAdapter::delta() const { return at::mm(b_, a_).mul_(scale_); }

std::optional<WeightAndBias> LoraAdapter::merged(const WeightAndBias& base) const {
  at::NoGradGuard no_grad;
  return WeightAndBias{base.weight + delta().to(base.weight.device()), base.bias};
}

std::unique_ptr<Method> make_lora(const LoraOptions& options) { return std::make_unique<LoraMethod>(options); }

}  // namespace graft
