// The optimizer, the schedule, checkpoints, and 100 steps against PEFT.
#include <cmath>
#include <fstream>

#include "graft/core/error.h"
#include "graft/io/tensors.h"
#include "graft/train/adamw.h"
#include "graft/train/checkpoint.h"
#include "graft/train/loss.h"
#include "graft/train/schedule.h"
#include "support/models.h"

namespace graft::testing {
namespace {

TEST(AdamW, AStepEqualsItsDefinitionInFloat64) {
  at::manual_seed(1);
  const Tensor p = at::randn({5, 3}), initial = p.clone();
  AdamW optimizer({{"p", p, 2.0}}, {0.9, 0.99, 1e-8, 0.1});
  Tensor value = initial.to(at::kDouble), m = at::zeros_like(value), v = at::zeros_like(value);
  for (int t = 1; t <= 20; ++t) {
    const Tensor g = at::randn({5, 3});
    Tensor(p).mutable_grad() = g.clone();
    optimizer.step(1e-2);
    const double rate = 2e-2;
    value = value * (1 - rate * 0.1);
    m = 0.9 * m + 0.1 * g.to(at::kDouble), v = 0.99 * v + 0.01 * g.to(at::kDouble).square();
    value = value - rate * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.99, t))).sqrt() + 1e-8);
  }
  EXPECT_LT(difference(p, value), 1e-5);
}

TEST(AdamW, WhatIsNotFiniteChangesNothing) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const Tensor p = at::ones({3}), q = at::ones({2});
    AdamW optimizer({{"p", p}, {"q", q, 16.0}}, {.weight_decay = 0.1});
    const auto step = [&](const Tensor& grad, const GradientRule& rule) {
      Tensor(p).mutable_grad() = grad;
      Tensor(q).mutable_grad() = at::ones({2});
      return optimizer.step(0.1, rule);
    };
    step(at::tensor({1.0f, static_cast<float>(bad), 1.0f}), {.max_norm = 1});
    step(at::ones({3}), {.loss = at::scalar_tensor(bad)});
    EXPECT_TRUE(p.equal(at::ones({3})) && q.equal(at::ones({2})));
    EXPECT_EQ(optimizer.state().at("p.step").item<double>(), 0);
    step(at::ones({3}), {});
    EXPECT_LT(p[0].item<double>(), 0.95);
    EXPECT_LT(q[0].item<double>(), 0);   // 16 times as far
    EXPECT_EQ(optimizer.state().at("q.step").item<double>(), 1);
  }
}

TEST(AdamW, ClipsAndUnscales) {
  const auto after = [](const Tensor& grad, const GradientRule& rule) {
    const Tensor p = at::zeros({4});
    AdamW optimizer({{"p", p}}, {.epsilon = 1});   // so that the gradients' size shows
    Tensor(p).mutable_grad() = grad;
    EXPECT_NEAR(optimizer.step(0.1, rule).item<double>(), 10, 1e-4);
    return p.clone();
  };
  const Tensor grad = at::full({4}, 5.0f);
  EXPECT_LT(difference(after(grad, {}), after(grad * 1024, {.loss_scale = 1024})), 1e-7);
  EXPECT_LT(difference(after(grad, {.max_norm = 1}), after(grad * 1024, {.max_norm = 1, .loss_scale = 1024})), 1e-7);
  EXPECT_GT(difference(after(grad, {}), after(grad, {.max_norm = 1})), 1e-3);
}

TEST(AdamW, StateIsNamedAndStrict) {
  const Tensor p = at::ones({2});
  AdamW optimizer({{"p", p}}, {});
  Tensor(p).mutable_grad() = at::ones({2});
  optimizer.step(0.1);
  TensorMap state;
  for (const auto& [name, tensor] : optimizer.state()) state[name] = tensor.clone();
  EXPECT_EQ(state.at("p.step").item<double>(), 1);
  AdamW other({{"p", p}}, {});
  other.load_state(state);
  EXPECT_TRUE(at::equal(other.state().at("p.exp_avg"), state.at("p.exp_avg")));
  state.erase("p.exp_avg");
  state["q.step"] = at::zeros({});
  try {
    other.load_state(state);
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("p.exp_avg"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("q.step"), std::string::npos);
  }
}

TEST(Schedule, RisesToOneAndNeverRisesAgain) {
  for (const char* kind : {"constant", "linear", "cosine", "wsd"}) {
    for (const auto& [warmup, total] : {std::pair<int64_t, int64_t>{5, 15}, {0, 10}, {10, 10}, {0, 1}, {3, 4}}) {
      const Schedule schedule{kind, warmup, total};
      double before = 0;
      for (int64_t step = 0; step < total + 3; ++step) {
        const double factor = schedule.at(step);
        ASSERT_TRUE(std::isfinite(factor) && factor >= 0 && factor <= 1) << kind << step;
        if (step <= warmup) EXPECT_GE(factor, before);
        if (step > warmup) EXPECT_LE(factor, before) << kind << " " << step;
        before = factor;
      }
      if (warmup < total) EXPECT_DOUBLE_EQ(schedule.at(warmup), kind == std::string("wsd") && total == 1 ? schedule.at(0) : 1) << kind << warmup << total;
    }
  }
  EXPECT_DOUBLE_EQ(Schedule({"linear", 0, 10}).at(5), 0.5);
  EXPECT_NEAR(Schedule({"cosine", 0, 10}).at(5), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(Schedule({"wsd", 0, 100}).at(89), 1);
  EXPECT_DOUBLE_EQ(Schedule({"wsd", 0, 100}).at(95), 0.5);
}

/// The same batches, init and settings as tests/oracle/peft_training.py describes.
TEST(Training, HundredStepsEqualPeft) {
  const auto folder = golden("training");
  const Json steps = read_json(folder / "batches.json").at("steps"), expected = read_json(folder / "losses.json");
  const auto model = load_model(*open_model_files(golden("tiny_chat").string()), {test_device(), at::kFloat, {}});
  load_adapter(*model, "default", folder / "init");
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(*model, "default")) list.push_back({name, tensor});
  AdamW optimizer(list, {0.9, 0.999, 1e-8, 0.01});
  const Schedule schedule{"linear", 10, 100};
  for (size_t s = 0; s < steps.size(); ++s) {
    std::vector<HostBatch> batches;
    for (const auto& micro : steps[s]) {
      HostBatch host;
      const auto ids = micro.at("ids").get<std::vector<std::vector<int64_t>>>(), targets = micro.at("targets").get<std::vector<std::vector<int64_t>>>();
      const auto positions = micro.at("positions").get<std::vector<std::vector<int64_t>>>();
      host.rows = static_cast<int64_t>(ids.size()), host.columns = static_cast<int64_t>(ids[0].size());
      for (size_t r = 0; r < ids.size(); ++r) {
        host.ids.insert(host.ids.end(), ids[r].begin(), ids[r].end());
        host.targets.insert(host.targets.end(), targets[r].begin(), targets[r].end());
        host.positions.insert(host.positions.end(), positions[r].begin(), positions[r].end());
        host.segments.insert(host.segments.end(), ids[r].size(), static_cast<int64_t>(r));
      }
      host.target_count = std::count_if(host.targets.begin(), host.targets.end(), [](int64_t t) { return t != -100; });
      batches.push_back(host);
    }
    optimizer.zero_grad();
    const double loss = backward(*model, "default", batches, {.step = static_cast<int64_t>(s)}).item<double>();
    ASSERT_NEAR(loss, expected.at("losses")[s].get<double>(), 1e-4) << "step " << s;
    const Tensor norm = optimizer.step(5e-3 * schedule.at(static_cast<int64_t>(s)), {.max_norm = 1});
    EXPECT_NEAR(norm.item<double>() / expected.at("gradient_norms")[s].get<double>(), 1, 1e-3) << "step " << s;
  }
  const TensorMap reference = load_tensors(folder / "adapter_model.safetensors");
  for (const auto& [name, tensor] : parameters(*model, "default")) {
    const Tensor r = reference.at("base_model.model." + name).to(tensor.device());
    EXPECT_LT(((tensor - r).norm() / r.norm()).item<double>(), 1e-4) << name;
  }
}

Checkpoint checkpoint_at(int64_t step) {
  Checkpoint checkpoint;
  checkpoint.state.step = step;
  checkpoint.adapter["a"] = at::full({3}, static_cast<double>(step));
  checkpoint.optimizer["a.step"] = at::ones({});
  checkpoint.facts = {{"threads", 2}};
  checkpoint.job = "output_dir: x\n";
  return checkpoint;
}

TEST(Checkpoints, RotationKeepsTheLatestAndTheBestInNumericOrder) {
  TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  for (const int64_t step : {2, 9, 10, 11}) {
    Checkpoint c = checkpoint_at(step);
    c.state.best = 1.5, c.state.best_step = 2;
    checkpoints.write(c, 2);
  }
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{2, 10, 11}));
  const Checkpoint back = checkpoints.read(11);
  EXPECT_EQ(back.state.best_step, 2);
  EXPECT_TRUE(at::equal(back.adapter.at("a"), at::full({3}, 11.0)));
  EXPECT_EQ(back.job, "output_dir: x\n");
}

TEST(Checkpoints, DamageIsSeenAndSkipped) {
  TemporaryFolder folder;
  std::vector<std::string> warnings;
  const CheckpointFolder checkpoints(folder.path(), Log([&](LogLevel, const std::string& text) { warnings.push_back(text); }));
  for (const int64_t step : {1, 2, 3, 4}) checkpoints.write(checkpoint_at(step), 9);
  std::filesystem::remove(checkpoints.path(2) / "manifest.json");
  std::filesystem::resize_file(checkpoints.path(3) / "adapter.safetensors", 10);
  {
    std::fstream file(checkpoints.path(4) / "adapter.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x55');
  }
  EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{1, 4}));   // by sizes; contents are judged when they are read
  EXPECT_EQ(warnings.size(), 2u);
  EXPECT_THROW(checkpoints.read(4), RequestError);
  warnings.clear();
  EXPECT_EQ(checkpoints.read_last()->state.step, 1);
  EXPECT_EQ(warnings.size(), 3u);   // each once
}

}  // namespace
}  // namespace graft::testing
