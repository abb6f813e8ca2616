// Passes through graphs (on the CPU: through their padding and their tensors, without the capture) against passes without.
#include <gtest/gtest.h>

#include "cases.h"
#include "graft/train/step_graphs.h"

namespace graft::testing {
namespace {

std::shared_ptr<Transformer> grafted_llama(double dropout = 0) {
  const auto m = random_model(tiny_config("llama"), {test_device(), at::kFloat, {}}, 5);
  AdapterOptions options;
  options.method = "lora";
  options.select_options();
  options.target_modules = "all-linear";
  std::get<LoraOptions>(options.options).dropout = dropout;
  graft_adapter(*m, "a", options, 1);
  randomize(*m, "a");
  m->set_fused(true);
  return m;
}

/// Two rows of random tokens, the second shorter; every `learnt`-th one a target.
HostBatch rows_of(int64_t columns, int64_t learnt, uint64_t seed) {
  at::manual_seed(seed);
  HostBatch host;
  host.rows = 2, host.columns = columns;
  for (int64_t i = 0; i < 2 * columns; ++i) {
    const bool real = i < columns || i % columns < columns - 3;
    host.ids.push_back(at::randint(97, {1}, at::kLong).item<int64_t>());
    host.positions.push_back(i % columns);
    host.segments.push_back(real ? i / columns : -1);
    host.targets.push_back(real && i % learnt == 0 ? (i * 5) % 97 : -100);
    host.target_count += host.targets.back() >= 0;
  }
  return host;
}

double step(Transformer& model, const std::vector<HostBatch>& hosts, StepGraphs* graphs, TensorMap& grads) {
  for (const auto& p : parameters(model, "a")) {   // in their place, as the optimizer has them
    Tensor& grad = Tensor(p.tensor).mutable_grad();
    grad.defined() ? void(grad.zero_()) : void(grad = at::zeros_like(p.tensor));
  }
  const double loss = backward(model, "a", hosts, {}, graphs).item<double>();
  for (const auto& [name, tensor] : parameters(model, "a")) grads[name] = tensor.grad().clone();
  return loss;
}

TEST(StepGraphs, GradientsAreThoseWithout) {
  const auto m = grafted_llama();
  StepGraphs graphs(*m, "a");
  for (uint64_t s = 0; s < 5; ++s) {   // shapes come again: seen, captured, replayed
    const std::vector<HostBatch> hosts{rows_of(17, 2, s), rows_of(18, 3, s + 50), rows_of(33, 1, s + 100)};
    TensorMap with, without;
    const double loss = step(*m, hosts, &graphs, with);
    EXPECT_NEAR(loss, step(*m, hosts, nullptr, without), 1e-5);
    for (const auto& [name, tensor] : without) EXPECT_LT(((with.at(name) - tensor).norm() / tensor.norm()).item<double>(), 2e-5) << name << " step " << s;
  }
  EXPECT_EQ(graphs.size(), 2u);   // the first two are padded to one shape
}

TEST(StepGraphs, WhatCannotBeCaptured) {
  const auto m = grafted_llama();
  EXPECT_EQ(StepGraphs::can_capture(*m, "a"), test_device().is_cuda());
  m->set_fused(false);
  EXPECT_FALSE(StepGraphs::can_capture(*m, "a"));
  EXPECT_FALSE(StepGraphs::can_capture(*grafted_llama(0.1), "a"));   // its masks change with the step
}

}  // namespace
}  // namespace graft::testing
