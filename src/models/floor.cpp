#include "graft/models/floor.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>

#include "graft/core/runtime.h"
#include "graft/ops/captured.h"
#include "graft/ops/product.h"
#include "plan_parts.h"

namespace graft {
namespace {

using Work = std::function<void()>;

struct Shape {
  int64_t in, out;
  auto operator<=>(const Shape&) const = default;
};

struct LayerProduct {
  Shape shape;
  bool widens;   // gate and up
};

bool comes_twice(const LayerProduct& product, Recompute mode) {
  return mode == Recompute::layer || mode == Recompute::offload || (mode == Recompute::gate_up && product.widens);
}

/// What is multiplied in one product in the best of cases: sites that read the same input.
bool joins(Role role, Role last) {
  const bool in_qkv = role == Role::key || role == Role::value;
  return (in_qkv && (last == Role::query || last == Role::key)) || (role == Role::up && last == Role::gate);
}

struct Products {
  std::vector<LayerProduct> layers;
  std::optional<Shape> head;
  double numbers() const {
    double sum = head ? static_cast<double>(head->in * head->out) : 0;
    for (const auto& [s, widens] : layers) sum += static_cast<double>(s.in * s.out);
    return sum;
  }
  double numbers_again(Recompute mode) const {
    double sum = 0;
    for (const LayerProduct& p : layers)
      if (comes_twice(p, mode)) sum += static_cast<double>(p.shape.in * p.shape.out);
    return sum;
  }
};

Products products_of(const Transformer& outline) {
  Products all;
  Role last = Role::other;
  for (const Site* site : outline.sites()) {
    if (site->kind() != SiteKind::linear || !site->weight()) continue;
    const Shape shape{site->weight()->in_features(), site->weight()->out_features()};
    if (site->role() == Role::head)
      all.head = shape;
    else if (joins(site->role(), last))
      all.layers.back().shape.out += shape.out;
    else
      all.layers.push_back({shape, site->role() == Role::gate || site->role() == Role::up || site->role() == Role::gate_up});
    last = site->role();
  }
  return all;
}

/// As anyone has it from LibTorch: on a GPU by the algorithm that its library takes unasked.
Tensor by_the_library(const Tensor& x, const Tensor& weight) { return x.is_cuda() ? at::linear(x, weight) : product(x, weight); }

/// A matrix with what its products read: different matrices a layer, as in training, while memory lasts; the same inputs.
struct Multiplied {
  Tensor weight, x, gradient;
  void forward() const { by_the_library(x, weight); }
  void back() const { by_the_library(gradient, weight.t()); }
};

class Matrices {
 public:
  Matrices(int64_t tokens, const at::TensorOptions& options, int64_t room) : tokens_(tokens), options_(options), room_(room) {}

  Multiplied next(const Shape& shape) {
    Multiplied m;
    auto& made = made_[shape];
    const auto bytes = shape.in * shape.out * static_cast<int64_t>(options_.dtype().itemsize());
    if (made.empty() || room_ >= bytes) {
      room_ -= bytes;
      m.weight = at::randn({shape.out, shape.in}, options_) * 0.02;
      made.push_back(m);
    } else {
      m = made[turn_++ % made.size()];
    }
    m.x = input(shape.in), m.gradient = input(shape.out);
    return m;
  }

 private:
  Tensor input(int64_t width) {
    Tensor& x = inputs_[width];
    return x.defined() ? x : x = at::randn({tokens_, width}, options_);
  }
  int64_t tokens_;
  at::TensorOptions options_;
  int64_t room_;
  size_t turn_ = 0;
  std::map<Shape, std::vector<Multiplied>> made_;
  std::map<int64_t, Tensor> inputs_;
};

Work products_work(const Products& products, const FloorShape& shape, const at::TensorOptions& options) {
  Matrices matrices(shape.rows * shape.columns, options, device_memory(options.device()).free / 3);
  std::vector<Multiplied> layers, head;
  std::vector<bool> twice;
  for (const LayerProduct& p : products.layers) layers.push_back(matrices.next(p.shape)), twice.push_back(comes_twice(p, shape.recompute));
  if (products.head) head.push_back(matrices.next(*products.head));
  return [layers, twice, head] {
    for (const auto& m : layers) m.forward();
    for (const auto& m : head) m.forward(), m.back();
    for (size_t i = layers.size(); i-- > 0;) {
      if (twice[i]) layers[i].forward();
      layers[i].back();
    }
  };
}

Work attention_work(const ModelFacts& facts, int64_t layers, const FloorShape& shape, const at::TensorOptions& options) {
  const bool grouped = facts.heads != facts.kv_heads && options.device().is_cuda();  // the CPU kernel takes equal heads only
  const auto heads = [&](int64_t count) {
    return at::randn({shape.rows, count, shape.columns, facts.head_dim}, options).requires_grad_();
  };
  const int64_t kv_heads = grouped ? facts.kv_heads : facts.heads;
  const Tensor q = heads(facts.heads), k = heads(kv_heads), v = heads(kv_heads), gradient = at::randn_like(q);
  return [=, causal = !facts.encoder] {
    const at::AutoGradMode grad(true);
    for (int64_t i = 0; i < layers; ++i) {
      const Tensor out = at::scaled_dot_product_attention(q, k, v, {}, 0.0, causal, std::nullopt, grouped);
      torch::autograd::grad({out}, {q, k, v}, {gradient});
    }
  };
}

/// The median of stretches of at least a twentieth of a second, as the card is when it has work all the time.
double seconds_of(const Work& work, at::Device device, double seconds) {
  const auto run = [&](int64_t times) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < times; ++i) work();
    synchronize(device);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double once = run(1);
  const auto stretch = std::max<int64_t>(1, static_cast<int64_t>(0.05 / once));
  std::vector<double> all;
  for (double spent = 0; spent < seconds || all.size() < 3; spent += all.back() * static_cast<double>(stretch))
    all.push_back(run(stretch) / static_cast<double>(stretch));
  std::nth_element(all.begin(), all.begin() + std::ssize(all) / 2, all.end());
  return all[all.size() / 2];
}

}  // namespace

Floor measure_floor(const Transformer& outline, const Json& config, const FloorShape& shape, at::Device device, double seconds) {
  const at::NoGradGuard no_grad;
  const auto options = at::TensorOptions(shape.dtype).device(device);
  const Products products = products_of(outline);
  Floor floor;
  floor.product_flops = 2.0 * static_cast<double>(shape.rows * shape.columns) * (2 * products.numbers() + products.numbers_again(shape.recompute));
  floor.products_seconds = seconds_of(captured(device, products_work(products, shape, options)), device, seconds);
  floor.attention_seconds =
      seconds_of(captured(device, attention_work(facts_of(outline, config), outline.layers(), shape, options)), device, seconds);
  return floor;
}

}  // namespace graft
