// AdamW with moments of 8 bits: against bitsandbytes, against its text in float64 step by step, and as a checkpoint.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graft/core/error.h"
#include "graft/io/tensors.h"
#include "graft/kernels/api.h"
#include "graft/train/adamw.h"
#include "support/models.h"

namespace graft::testing {
namespace {

constexpr AdamWOptions options{.beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1, .moments = MomentStorage::dynamic8};

Tensor map_of(const float* points) { return at::from_blob(const_cast<float*>(points), {256}, at::kFloat).clone(); }

/// As tests/golden/make_adamw_8bit.py has it.
Tensor gradient(int64_t count, int64_t step) {
  const Tensor i = at::arange(count, at::kDouble);
  return (at::sin(0.37 * i + static_cast<double>(step)) * (1 + 3 * (i * 7919).remainder(97).eq(0).to(at::kDouble))).to(at::kFloat).to(test_device());
}

void set_gradient(const Tensor& p, const Tensor& gradient) { Tensor(p).mutable_grad() = gradient; }

/// Codes as the numbers that they stand for, in fp64.
Tensor decoded(const Tensor& codes, const Tensor& largest, const float* map) {
  const Tensor each = largest.cpu().to(at::kDouble).repeat_interleave(kernels::moment_block).slice(0, 0, codes.numel());
  return map_of(map).to(at::kDouble).index_select(0, codes.cpu().to(at::kLong)) * each;
}

/// How much further each number's code lies from it than the nearest, at most, as a share of its block's largest. first: the least code that may be taken.
double too_far(const Tensor& x, const Tensor& codes, const Tensor& largest, const float* map, int64_t first = 0) {
  const Tensor each = largest.cpu().to(at::kDouble).repeat_interleave(kernels::moment_block).slice(0, 0, x.numel());
  const Tensor nearest = std::get<0>((x.unsqueeze(1) - map_of(map).slice(0, first).to(at::kDouble).unsqueeze(0) * each.unsqueeze(1)).abs().min(1));
  return (((x - decoded(codes, largest, map)).abs() - nearest) / each).max().item<double>();
}

TEST(AdamW8Bit, MapsAreThoseOfBitsandbytes) {
  const TensorMap golden_steps = load_tensors(golden("adamw_8bit") / "steps.safetensors");
  EXPECT_TRUE(map_of(kernels::dynamic_map()).equal(golden_steps.at("signed_map")));
  EXPECT_TRUE(map_of(kernels::unsigned_dynamic_map()).equal(golden_steps.at("unsigned_map")));
}

TEST(AdamW8Bit, TenStepsAsBitsandbytesTakesThem) {
  const TensorMap expected = load_tensors(golden("adamw_8bit") / "steps.safetensors");
  const int64_t count = expected.at("p").numel();
  const Tensor p = at::cos(at::arange(count, at::kDouble)).to(at::kFloat).to(test_device()), initial = p.clone();
  AdamW optimizer({{"p", p}}, options);
  for (int64_t step = 0; step < 10; ++step) set_gradient(p, gradient(count, step)), optimizer.step(1e-2);
  const TensorMap state = optimizer.state();
  const Tensor moved = (p - initial).cpu(), theirs = expected.at("p") - initial.cpu();
  EXPECT_LT(((moved - theirs).norm() / theirs.norm()).item<double>(), 5e-3);
  for (const std::string name : {"exp_avg", "exp_avg_sq"}) {
    EXPECT_LT(difference(state.at("p." + name + ".absmax") / expected.at(name + ".absmax").to(test_device()), at::ones({17})), 1e-3) << name;
    const Tensor apart = (state.at("p." + name).cpu().to(at::kInt) - expected.at(name).to(at::kInt)).abs();
    EXPECT_LT(apart.ne(0).to(at::kDouble).mean().item<double>(), 0.05) << name;   // its CPU looks codes up in a coarse table first
  }
}

TEST(AdamW8Bit, AStepEqualsItsDefinitionInFloat64) {
  at::manual_seed(1);
  const Tensor p = at::randn({50, 110}).to(test_device()), small = at::randn({7}).to(test_device()), twin = small.clone();
  AdamW optimizer({{"small", small}, {"p", p, 2.0}}, options);
  AdamWOptions wide = options;
  wide.moments = MomentStorage::fp32;
  AdamW all_wide({{"small", twin}}, wide);
  const auto flat = [](const Tensor& x) { return x.cpu().flatten().to(at::kDouble); };
  for (int t = 1; t <= 20; ++t) {
    const TensorMap state = optimizer.state();
    const Tensor g = at::randn({50, 110}) * at::exp(2 * at::randn({50, 110})), before = p.clone(), small_g = at::randn({7}).to(test_device());
    Tensor m = decoded(state.at("p.exp_avg").flatten(), state.at("p.exp_avg.absmax"), kernels::dynamic_map());
    Tensor v = decoded(state.at("p.exp_avg_sq").flatten(), state.at("p.exp_avg_sq.absmax"), kernels::unsigned_dynamic_map());
    set_gradient(p, g.to(test_device())), set_gradient(small, small_g), set_gradient(twin, small_g.clone());
    optimizer.step(1e-2), all_wide.step(1e-2);
    m = 0.9 * m + 0.1 * flat(g), v = 0.99 * v + 0.01 * flat(g).square();
    const double rate = 2e-2;
    const Tensor value = flat(before) * (1 - rate * 0.1) - rate * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.99, t))).sqrt() + 1e-8);
    EXPECT_LT(difference(p.flatten(), value), 1e-6 * value.abs().max().item<double>()) << t;
    EXPECT_LT(too_far(m, state.at("p.exp_avg").flatten(), state.at("p.exp_avg.absmax"), kernels::dynamic_map()), 1e-6) << t;
    EXPECT_LT(too_far(v, state.at("p.exp_avg_sq").flatten(), state.at("p.exp_avg_sq.absmax"), kernels::unsigned_dynamic_map(), 1), 1e-6) << t;
    EXPECT_TRUE(small.equal(twin)) << t;   // in 32 bits, as ever
  }
}

TEST(AdamW8Bit, ItsStateGoesOnExactly) {
  const auto parameter = [] { return at::ones({4200}).to(test_device()); };
  const Tensor p = parameter(), q = parameter();
  AdamW optimizer({{"p", p}}, options), other({{"p", q}}, options);
  for (int64_t step = 0; step < 3; ++step) set_gradient(p, gradient(4200, step)), optimizer.step(1e-2);
  TemporaryFolder folder;
  save_tensors(folder / "state.safetensors", optimizer.state());
  const TensorMap state = load_tensors(folder / "state.safetensors");
  EXPECT_EQ(state.at("p.exp_avg").scalar_type(), at::kByte);
  EXPECT_EQ(state.at("p.exp_avg_sq.absmax").numel(), 17);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : state) bytes += static_cast<int64_t>(tensor.nbytes());
  EXPECT_EQ(bytes, 2 * 4200 + 2 * 17 * 4 + 4);
  other.load_state(state);
  Tensor(q).copy_(p);
  for (int64_t step = 3; step < 6; ++step) {
    set_gradient(p, gradient(4200, step)), optimizer.step(1e-2);
    set_gradient(q, gradient(4200, step)), other.step(1e-2);
  }
  EXPECT_TRUE(p.equal(q));
  for (const auto& [name, tensor] : optimizer.state()) EXPECT_TRUE(tensor.equal(other.state().at(name))) << name;
  AdamW wide({{"p", q}}, {});
  EXPECT_THROW(wide.load_state(state), RequestError);
}

TEST(AdamW8Bit, WhatIsNotFiniteChangesNothing) {
  const Tensor p = at::ones({4096}).to(test_device());
  AdamW optimizer({{"p", p}}, options);
  Tensor bad = gradient(4096, 0);
  bad[7] = std::numeric_limits<float>::infinity();
  for (int i = 0; i < 2; ++i) {
    const Tensor before = p.clone();
    TensorMap state;
    for (const auto& [name, tensor] : optimizer.state()) state[name] = tensor.clone();
    set_gradient(p, bad.clone()), optimizer.step(1e-2, {.max_norm = 1});
    EXPECT_TRUE(p.equal(before));
    for (const auto& [name, tensor] : optimizer.state()) EXPECT_TRUE(tensor.equal(state.at(name))) << name;
    set_gradient(p, gradient(4096, i)), optimizer.step(1e-2, {.max_norm = 1});
    EXPECT_FALSE(p.equal(before));
  }
}

/// A square far below its block's largest must not become zero, where the average does not: the step would be a thousand times too long.
TEST(AdamW8Bit, SmallNumbersBesideLargeOnesTakeStepsOfTheRate) {
  at::manual_seed(2);
  const Tensor p = at::zeros({4096}).to(test_device());
  AdamWOptions no_decay = options;
  no_decay.weight_decay = 0;
  AdamW optimizer({{"p", p}}, no_decay);
  for (int t = 0; t < 50; ++t) {
    const Tensor g = at::randn({4096}), before = p.clone();
    g.slice(0, 0, std::nullopt, 4).mul_(1e-3), g.slice(0, 1, std::nullopt, 4).mul_(1e-5);
    set_gradient(p, g.to(test_device())), optimizer.step(1e-2);
    EXPECT_LT(difference(p, before), 5e-2) << t;
  }
}

/// Blocks that say nothing (all zeros, as a fresh B's A has them) stay at zero and stay finite.
TEST(AdamW8Bit, NoGradientMovesNothing) {
  const Tensor p = at::ones({8192}).to(test_device()), g = at::zeros({8192}).to(test_device());
  g.slice(0, 300, 600).fill_(1);
  AdamWOptions no_decay = options;
  no_decay.weight_decay = 0;
  AdamW optimizer({{"p", p}}, no_decay);
  for (int i = 0; i < 3; ++i) set_gradient(p, g.clone()), optimizer.step(1e-2);
  EXPECT_TRUE(p.slice(0, 0, 300).equal(at::ones({300}).to(test_device())));
  EXPECT_TRUE(p.slice(0, 600).equal(at::ones({7592}).to(test_device())));
  EXPECT_LT(p[400].item<double>(), 0.98);
}

}  // namespace
}  // namespace graft::testing
