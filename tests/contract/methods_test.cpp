// The contract of every method on every family and storage format: the tables are walked, so a new line in any runs all of this.
#include <torch/csrc/autograd/autograd.h>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/models/family.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

struct Case {
  std::string family, method, format;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Family* family : families())
    for (const auto method : AdapterOptions::method_names())
      for (const auto format : format_names()) all.push_back({std::string(family->name), std::string(method), std::string(format)});
  return all;
}

class Contract : public ::testing::TestWithParam<Case> {
 protected:
  std::shared_ptr<Transformer> model(at::ScalarType dtype = at::kFloat) const {
    QuantizationOptions quantization;
    quantization.format = GetParam().format;
    quantization.double_quantization = GetParam().format == "nf4";
    return random_model(tiny_config(GetParam().family), {test_device(), dtype, quantization}, 5);
  }
  AdapterOptions options() const {
    AdapterOptions options;
    options.method = GetParam().method;
    options.select_options();
    return options;
  }
  static Batch with_adapter(Batch batch, const std::string& name) {
    batch.adapter = name;
    return batch;
  }
};

HostBatch host_batch(uint64_t seed = 1) {
  const Batch batch = batch_of({9, 6}, 97, seed);
  HostBatch host;
  host.rows = 2, host.columns = 9;
  const auto flat = [](const Tensor& device_tensor) {
    const Tensor x = device_tensor.cpu();
    return std::vector<int64_t>(x.const_data_ptr<int64_t>(), x.const_data_ptr<int64_t>() + x.numel());
  };
  host.ids = flat(batch.ids), host.positions = flat(batch.positions), host.segments = flat(batch.segments);
  for (int64_t i = 0; i < 18; ++i) {
    const bool learnt = host.segments[static_cast<size_t>(i)] >= 0 && i % 9 >= 2;
    host.targets.push_back(learnt ? (host.ids[static_cast<size_t>(i)] * 7 + 3) % 97 : -100);
    host.target_count += learnt, host.token_count += host.segments[static_cast<size_t>(i)] >= 0;
  }
  return host;
}

TEST_P(Contract, StartsAsTheBase) {
  at::NoGradGuard no_grad;
  const auto m = model();
  graft_adapter(*m, "a", options(), 1);
  const Batch batch = batch_of({9, 6}, 97);
  EXPECT_TRUE(at::equal(logits(*m, batch), logits(*m, with_adapter(batch, "a"))));
}

TEST_P(Contract, GradientsEqualFiniteDifferencesInFloat64) {
  const auto m = model(at::kDouble);   // the adapter's fp32 parameters on a base that computes in float64
  graft_adapter(*m, "a", options(), 1);
  randomize(*m, "a");
  const std::vector<HostBatch> batches{host_batch()};
  backward(*m, "a", batches, {});
  at::NoGradGuard no_grad;
  std::map<std::string, Tensor> gradients;
  for (const auto& [name, tensor] : parameters(*m, "a")) gradients[name] = tensor.grad().clone();
  for (const auto& [name, tensor] : parameters(*m, "a")) {
    const Tensor& gradient = gradients.at(name);
    const double norm = gradient.norm().item<double>();
    ASSERT_GT(norm, 0) << name;
    const double h = 1e-3 * tensor.norm().item<double>();
    const auto loss_at = [&](double step) {
      Tensor(tensor).add_(gradient, step / norm);
      double loss = 0;
      {
        at::AutoGradMode grad(true);
        for (const auto& p : parameters(*m, "a")) Tensor(p.tensor).mutable_grad().reset();
        loss = backward(*m, "a", batches, {});
      }
      Tensor(tensor).sub_(gradient, step / norm);
      return loss;
    };
    const double slope = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);   // to fourth order
    EXPECT_NEAR(slope / norm, 1, 2e-4) << name;
  }
}

TEST_P(Contract, RecomputeAndDropoutGiveTheSameGradientsToTheBit) {
  AdapterOptions with_dropout = options();
  if (auto* lora = std::get_if<LoraOptions>(&with_dropout.options)) lora->dropout = 0.5;
  const auto m = model();
  graft_adapter(*m, "a", with_dropout, 1);
  randomize(*m, "a");
  std::vector<std::vector<Tensor>> gradients;
  for (const bool recompute : {false, true, false}) {
    m->set_recompute(recompute);
    for (const auto& p : parameters(*m, "a")) Tensor(p.tensor).mutable_grad().reset();
    backward(*m, "a", {host_batch()}, {.seed = 42, .step = gradients.size() < 2 ? 3 : 4});
    gradients.emplace_back();
    for (const auto& p : parameters(*m, "a")) gradients.back().push_back(p.tensor.grad().clone());
  }
  bool another_step_differs = false;
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
    another_step_differs = another_step_differs || !at::equal(gradients[0][i], gradients[2][i]);
  }
  EXPECT_TRUE(another_step_differs);
}

TEST_P(Contract, AccumulationEqualsOneLargeBatch) {
  const auto m = model();
  graft_adapter(*m, "a", options(), 1);
  randomize(*m, "a");
  const HostBatch both = host_batch();
  std::vector<HostBatch> rows;
  for (size_t r = 0; r < 2; ++r) {
    HostBatch row;
    row.rows = 1, row.columns = 9;
    const auto part = [&](const std::vector<int64_t>& v) { return std::vector<int64_t>(v.begin() + static_cast<int64_t>(9 * r), v.begin() + static_cast<int64_t>(9 * r + 9)); };
    row.ids = part(both.ids), row.positions = part(both.positions), row.segments = part(both.segments), row.targets = part(both.targets);
    row.target_count = std::count_if(row.targets.begin(), row.targets.end(), [](int64_t t) { return t != -100; });
    rows.push_back(row);
  }
  const double together = backward(*m, "a", {both}, {});
  std::vector<Tensor> expected;
  for (const auto& p : parameters(*m, "a")) expected.push_back(p.tensor.grad().clone()), Tensor(p.tensor).mutable_grad().reset();
  EXPECT_NEAR(backward(*m, "a", rows, {}), together, 1e-6);
  size_t i = 0;
  for (const auto& p : parameters(*m, "a")) EXPECT_LT(difference(p.tensor.grad(), expected[i++]), 1e-6) << p.name;
}

TEST_P(Contract, CachedDecodingEqualsTheFullPass) {
  at::NoGradGuard no_grad;
  const auto m = model();
  graft_adapter(*m, "a", options(), 1);
  randomize(*m, "a");
  const Batch whole = with_adapter(batch_of({9, 6}, 97), "a");
  const Tensor full = logits(*m, whole);
  Cache cache = m->new_cache(2, 9);
  std::vector<Tensor> parts;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 4}, {4, 5}, {5, 9}}) {
    Batch part = whole;
    part.ids = whole.ids.slice(1, begin, end), part.positions = whole.positions.slice(1, begin, end), part.segments = whole.segments.slice(1, begin, end);
    parts.push_back(m->predict(m->hidden(part, &cache), part));
  }
  const Tensor cached = at::cat(parts, 1);
  EXPECT_LT(difference(cached[0], full[0]), 1e-5);
  EXPECT_LT(difference(cached[1].slice(0, 0, 6), full[1].slice(0, 0, 6)), 1e-5);
  EXPECT_TRUE(at::isfinite(cached).all().item<bool>());
}

TEST_P(Contract, SavedAndLoadedIsTheSameToTheBit) {
  TemporaryFolder folder;
  const auto m = model();
  graft_adapter(*m, "a", options(), 1);
  randomize(*m, "a");
  write_adapter(folder / "adapter", *m, "a", options(), "base");
  load_adapter(*m, "b", folder / "adapter");
  at::NoGradGuard no_grad;
  const Batch batch = batch_of({9, 6}, 97);
  EXPECT_TRUE(at::equal(logits(*m, with_adapter(batch, "a")), logits(*m, with_adapter(batch, "b"))));
}

TEST_P(Contract, MergeEqualsForwardAndLeavesTheBaseAlone) {
  at::NoGradGuard no_grad;
  const auto m = model();
  graft_adapter(*m, "a", options(), 1);
  randomize(*m, "a");
  for (const Site* site : m->sites()) {
    const auto adapter = site->adapter("a");
    if (!adapter) continue;
    const Tensor before = site->weight()->dense(at::kFloat).clone();
    const auto merged = adapter->merged({before, site->bias()});
    ASSERT_TRUE(merged.has_value()) << site->path();
    Batch batch = with_adapter(batch_of({3}, 97), "a");
    const Tensor x = at::randn({1, 3, site->weight()->in_features()}).to(test_device());
    Tensor expected = at::linear(x, merged->weight);
    if (merged->bias.defined()) expected = expected + merged->bias;
    EXPECT_LT(difference(adapter->forward(x, Frozen{*site}, batch), expected), 1e-4) << site->path();
    EXPECT_TRUE(at::equal(before, site->weight()->dense(at::kFloat))) << site->path();
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Contract, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.family + "_" + info.param.method + "_" + info.param.format; });

}  // namespace
}  // namespace graft::testing
