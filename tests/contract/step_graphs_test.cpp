// Passes through graphs (on the CPU: through their padding and their tensors, without the capture) against passes without.
#include <gtest/gtest.h>

#include "cases.h"
#include "graft/train/step_graphs.h"

namespace graft::testing {
namespace {

std::shared_ptr<Transformer> grafted_llama(const std::string& method, double dropout = 0, at::ScalarType dtype = at::kFloat, int64_t head_dim = 8) {
  Json config = tiny_config("llama");
  config["head_dim"] = head_dim;
  const auto m = random_model(config, {test_device(), dtype, {}}, 5);
  AdapterOptions options;
  options.method = method;
  options.select_options();
  if (method != "pfeiffer") options.target_modules = "all-linear";
  if (auto* lora = std::get_if<LoraOptions>(&options.options)) lora->dropout = dropout;
  for (const std::string name : {"a", "b"}) graft_adapter(*m, name, options, name == "a" ? 1 : 2), randomize(*m, name);
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

/// The losses of a step; the gradients by adapter and name.
std::vector<double> step(Transformer& model, const std::vector<Share>& shares, StepGraphs* graphs, TensorMap& grads) {
  for (const Share& share : shares)
    for (const auto& p : parameters(model, share.adapter)) {   // in their place, as the optimizer has them
      Tensor& grad = Tensor(p.tensor).mutable_grad();
      grad.defined() ? void(grad.zero_()) : void(grad = at::zeros_like(p.tensor));
    }
  std::vector<double> losses;
  for (const Tensor& loss : backward_together(model, shares, graphs)) losses.push_back(loss.item<double>());
  for (const Share& share : shares)
    for (const auto& [name, tensor] : parameters(model, share.adapter)) grads[share.adapter + "." + name] = tensor.grad().clone();
  return losses;
}

/// Steps of one adapter, and of two together: their shapes come again, so they are seen, captured, replayed.
TEST(StepGraphs, GradientsAreThoseWithout) {
  struct Case {
    const char* method;
    bool together = false;
    double dropout = 0;   // its masks change with the step; as gains, they send rows of several adapters the plain way
    size_t shapes = 2;    // alone, the first two micro-batches are padded to one
  };
  for (const auto& [method, together, dropout, shapes] : {Case{"lora"}, {"dora"}, {"vera"}, {"ia3"}, {"lora", true, 0, 3}, {"lora", false, 0.3}, {"lora", true, 0.3, 1}, {"dora", true, 0, 1}}) {
    const auto m = grafted_llama(method, dropout);
    StepGraphs graphs(*m);
    for (uint64_t s = 0; s < 5; ++s) {
      std::vector<Share> shares{{"a", {rows_of(17, 2, s), rows_of(18, 3, s + 50), rows_of(33, 1, s + 100)}, {.seed = 7, .step = static_cast<int64_t>(s)}}};
      if (together) shares.push_back({"b", {rows_of(30, 3, s), rows_of(32, 5, s + 50)}, {.seed = 8, .step = static_cast<int64_t>(s)}});
      TensorMap with, without;
      const std::vector<double> losses = step(*m, shares, &graphs, with), plain = step(*m, shares, nullptr, without);
      for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], plain[i], 1e-5);
      for (const auto& [name, tensor] : without) EXPECT_LT(((with.at(name) - tensor).norm() / tensor.norm()).item<double>(), 2e-5) << method << " " << name << " step " << s;
    }
    EXPECT_EQ(graphs.size(), shapes) << method << (dropout > 0 ? " with dropout" : "");
  }
}

/// Rows that hold several texts, in 16 bits, where a GPU attends text by text: their number and lengths differ from step to step.
class PackedStepGraphs : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};   // columns of a head (64: graft's own attention on Hopper), and of a beginning that texts share
INSTANTIATE_TEST_SUITE_P(HeadDim, PackedStepGraphs, ::testing::Values(std::pair{8, 0}, std::pair{64, 0}, std::pair{8, 9}, std::pair{64, 9}));

TEST_P(PackedStepGraphs, GradientsAreThoseWithout) {
  const auto [head_dim, shared] = GetParam();
  const auto m = grafted_llama("lora", 0, at::kBFloat16, head_dim);
  StepGraphs graphs(*m);
  for (int64_t s = 0; s < 6; ++s) {
    HostBatch host = rows_of(64, 2, static_cast<uint64_t>(s));
    host.packed = true, host.shared = shared;
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t t = 0, start = 0; t < 61; ++t) {
        if (t == shared || (t > shared && t % (9 + s + row) == 0)) start = t;
        const auto at = static_cast<size_t>(row * 64 + t);
        host.segments[at] = t < shared ? shared_segment : row * 100 + start, host.positions[at] = t < shared ? t : shared + t - start;
      }
    TensorMap with, without;
    const double loss = step(*m, {{"a", {host}, {}}}, &graphs, with)[0];
    EXPECT_NEAR(loss, step(*m, {{"a", {host}, {}}}, nullptr, without)[0], 1e-2);
    for (const auto& [name, tensor] : without) EXPECT_LT(((with.at(name) - tensor).norm() / tensor.norm()).item<double>(), 2e-2) << name << " step " << s;
  }
  EXPECT_LT(graphs.size(), 4u);
}

TEST(StepGraphs, WhatCannotBeCaptured) {
  const auto m = grafted_llama("lora");
  EXPECT_EQ(StepGraphs::can_capture(*m, "a"), test_device().is_cuda());
  m->set_fused(false);
  EXPECT_FALSE(StepGraphs::can_capture(*m, "a"));
  EXPECT_FALSE(StepGraphs::can_capture(*grafted_llama("pfeiffer"), "a"));
}

}  // namespace
}  // namespace graft::testing
