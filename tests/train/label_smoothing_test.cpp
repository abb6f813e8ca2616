// train.label_smoothing in a step's loss: of a decoder's head and of a classifier's, and what evaluation says of it.
#include <gtest/gtest.h>

#include <cmath>

#include "graft/data/random_dataset.h"
#include "graft/peft/graft_adapter.h"
#include "graft/train/evaluate.h"
#include "graft/train/loss.h"
#include "graft/train/trainer.h"
#include "support/models.h"

namespace graft::testing {
namespace {

std::shared_ptr<Transformer> adapted(const std::string& family) {
  auto model = random_model(tiny_config(family), {test_device(), at::kFloat, {}, tiny_task(family)}, 5);
  AdapterOptions adapter;
  adapter.options = LoraOptions{};
  graft_adapter(*model, sole_adapter, adapter, 3);
  randomize(*model, sole_adapter);
  return model;
}

/// Rows of `columns` tokens with targets here and there.
HostBatch host_batch(int64_t rows, int64_t columns) {
  HostBatch host{.rows = rows, .columns = columns};
  for (int64_t i = 0; i < rows * columns; ++i) {
    host.ids.push_back(i * 37 % 97), host.positions.push_back(i % columns), host.segments.push_back(i / columns);
    host.targets.push_back(i % columns == 0 || i % 3 == 1 ? i * 11 % 97 : -100);
    host.target_count += host.targets.back() >= 0;
  }
  return host;
}

TEST(LabelSmoothing, AStepsLossIsTorchsMeanOverTargets) {
  for (const char* family : {"llama", "bert"}) {
    const auto model = adapted(family);
    const HostBatch first = host_batch(2, 9), second = host_batch(3, 4);
    for (const double smoothing : {0.0, 0.2}) {
      const double loss = backward(*model, sole_adapter, {first, second}, {.label_smoothing = smoothing}).item<double>();
      at::NoGradGuard no_grad;
      std::vector<Tensor> logits, targets;
      for (const HostBatch* host : {&first, &second}) {
        Batch batch = to_batch(*host, test_device());
        batch.adapter = sole_adapter;
        const Tensor all = at::arange(host->rows * host->columns, batch.ids.options());
        logits.push_back(model->predict(model->hidden(batch).flatten(0, 1), tokens_of(batch, all)).cpu().to(at::kDouble));
        targets.push_back(at::tensor(host->targets, at::kLong));
      }
      const auto expected = [&](double share) { return at::cross_entropy_loss(at::cat(logits), at::cat(targets), {}, at::Reduction::Mean, -100, share).item<double>(); };
      EXPECT_NEAR(loss, expected(smoothing), 1e-6) << family << " " << smoothing;
      EXPECT_GT(std::abs(expected(0.2) - expected(0)), 1e-4) << family;
    }
  }
}

TEST(LabelSmoothing, TrainingReportsItsOwnLossAndEvaluationThePlainOne) {
  struct Losses : Observer {
    void on_step(const StepReport& r) override { step = r.loss; }
    void on_eval(const EvalReport& r) override { held_out = r.loss; }
    double step = 0, held_out = 0;
  };
  TemporaryFolder folder;
  const Dataset data = random_dataset(std::vector<int64_t>(4, 9), 97, 5, folder / "data");   // all of it in every step
  const auto losses = [&](double smoothing) {
    const auto model = adapted("llama");
    TrainOptions options;
    options.max_steps = 1, options.micro_batch_size = 4, options.gradient_accumulation_steps = 1, options.label_smoothing = smoothing;
    Trainer trainer({*model, sole_adapter, [](std::string_view) { return 1.0; }, data, 0, 0, options, 1e-30, {}, [&] { return evaluate_loss(*model, sole_adapter, data, 4); },
                     {}, folder / std::to_string(smoothing), {}, "", {}});
    Losses seen;
    trainer.run(seen);
    return seen;
  };
  const Losses plain = losses(0), smoothed = losses(0.5);
  EXPECT_NEAR(plain.step, plain.held_out, 1e-5);
  EXPECT_NEAR(smoothed.held_out, plain.held_out, 1e-9);
  EXPECT_GT(std::abs(smoothed.step - plain.step), 1e-4);   // the model is nearly undecided
}

}  // namespace
}  // namespace graft::testing
