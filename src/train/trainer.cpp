#include "graft/train/trainer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "graft/core/error.h"
#include "graft/core/runtime.h"

namespace graft {
namespace {

std::vector<OptimizedParameter> optimized(const TrainerSetup& setup) {
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(setup.model, setup.adapter))
    if (tensor.requires_grad()) list.push_back({name, tensor, setup.lr_scale(name)});
  return list;
}

BatchOptions batch_options(const TrainerSetup& setup) {
  return {.micro_batch_size = setup.options.micro_batch_size,
          .gradient_accumulation_steps = setup.options.gradient_accumulation_steps,
          .seed = setup.options.seed,
          .row_length = setup.row_length,
          .slots = setup.model.virtual_tokens(setup.adapter).slots,
          .shared = setup.shared};
}

Schedule make_schedule(const TrainOptions& options, int64_t total) {
  const auto by_ratio = static_cast<int64_t>(std::ceil(options.warmup_ratio * static_cast<double>(total)));
  const int64_t warmup = options.warmup_steps.value_or(by_ratio);
  require(warmup <= total, "train.warmup_steps {} exceeds the {} steps of this run", warmup, total);
  return {options.lr_scheduler, warmup, total};
}

/// What decides which evaluation is best.
double smaller_is_better(const EvalReport& report, const std::string& metric) {
  if (metric == "loss") return report.loss;
  if (const auto it = report.metrics.find(metric); it != report.metrics.end()) return -it->second;
  check(metric == "accuracy", "eval.metric: this evaluation has no {}", metric);
  return -(report.label_accuracy >= 0 ? report.label_accuracy : report.token_accuracy);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int64_t total_steps(const TrainOptions& options, int64_t steps_per_epoch) {
  if (options.max_steps) return *options.max_steps;
  return std::max<int64_t>(1, std::llround(options.epochs * static_cast<double>(steps_per_epoch)));
}

Trainer::Trainer(TrainerSetup setup)
    : setup_(std::move(setup)),
      batches_(Batches(setup_.train, batch_options(setup_))),
      optimizer_(optimized(setup_), setup_.options.adamw()),
      checkpoint_every_(read_interval("checkpoint.every", setup_.checkpoint.every)),
      checkpoints_(setup_.run_folder / "checkpoints", setup_.log),
      writer_(checkpoints_, setup_.checkpoint.keep, setup_.log) {
  total_ = total_steps(setup_.options, batches_.steps_per_epoch());
  schedule_ = make_schedule(setup_.options, total_);
  const Recompute recompute = setup_.options.recompute_mode();
  setup_.model.set_recompute(recompute);
  if (setup_.options.dtype == "fp8") {
    const int64_t layers = setup_.model.set_fp8(true, setup_.options.fp8_outer_layers);
    require(layers > 0, "train.dtype fp8: no layer of this model can multiply in 8 bits: their sizes are not divisible by 16, or they are no fused blocks; use bf16");
    setup_.log.info("{} of {} layers multiply in 8 bits", layers, setup_.model.layers());
  }
  if (setup_.model.dtype() == at::kHalf) state_.loss_scale = 65536, setup_.late_reports = false;
  const bool replays = setup_.options.graphs != "off" && recompute != Recompute::offload;   // copies beside the work cannot be captured
  if (StepGraphs::can_capture(setup_.model, setup_.adapter) && (replays || at::globalContext().deterministicAlgorithms()))
    graphs_ = std::make_unique<StepGraphs>(setup_.model, replays);
  if (setup_.model.device().is_cuda())
    setup_.log.info("{} of {} layers run as fused blocks{}", setup_.model.fused_layers(setup_.adapter), setup_.model.layers(),
                    graphs_ && replays ? "; passes of small shapes are captured as graphs" : "");
  if (setup_.row_length > 0)
    setup_.log.info("packed: {} samples an epoch in {} rows of at most {} tokens", batches_.samples_per_epoch(), batches_.rows_per_epoch(), setup_.row_length);
  if (setup_.shared > 0) setup_.log.info("all samples begin with the same {} tokens: a micro-batch computes them once", setup_.shared);
}

void Trainer::restore(const Checkpoint& checkpoint) {
  load_parameters(setup_.model, setup_.adapter, checkpoint.adapter, "the checkpoint's adapter");
  optimizer_.load_state(checkpoint.optimizer);
  state_ = checkpoint.state;
  batches_.seek(state_.cursor);
  begun_step_ = saved_step_ = state_.step;
}

void Trainer::update_loss_scale(bool finite) {
  if (setup_.model.dtype() != at::kHalf) return;
  state_.good_steps = finite ? state_.good_steps + 1 : 0;
  if (!finite) state_.loss_scale = std::max(1.0, state_.loss_scale / 2);
  if (state_.good_steps == 1000) state_.loss_scale *= 2, state_.good_steps = 0;
}

Share Trainer::next_share() {
  step_started_ = std::chrono::steady_clock::now();
  optimizer_.zero_grad();
  return {setup_.adapter, batches_.next(), {setup_.options.seed, state_.step, state_.loss_scale, setup_.options.label_smoothing}};
}

Tensor Trainer::backward(const Share& share) {
  return graft::backward(setup_.model, share.adapter, share.micro_batches, share.context, graphs_.get());
}

Trainer::Launched Trainer::optimize(const Share& share, const Tensor& loss) {
  StepReport report;
  std::vector<int64_t> samples;
  for (const auto& host : share.micro_batches) {
    report.targets += host.target_count, report.tokens += host.token_count;
    samples.insert(samples.end(), host.samples.begin(), host.samples.end());
  }
  check(report.targets > 0, "step {} has no target token", state_.step + 1);
  if (setup_.adapter != sole_adapter) report.adapter = setup_.adapter;
  report.learning_rate = setup_.learning_rate * schedule_.at(state_.step);
  writer_.await_copy();
  const Tensor norm = optimizer_.step(report.learning_rate, {setup_.options.max_grad_norm, state_.loss_scale, loss});
  const Tensor figures = at::stack({loss.to(at::kDouble), norm.to(at::kDouble)});
  state_.trained_targets += static_cast<double>(report.targets);
  state_.cursor = batches_.cursor();
  ++state_.step;
  report.step = state_.step, report.total_steps = total_;
  report.epoch = static_cast<double>(state_.cursor.epoch) +
                 static_cast<double>(state_.cursor.step_in_epoch) / static_cast<double>(batches_.steps_per_epoch());
  return {std::move(report), std::move(samples), step_started_, batches_.waited(), ReadBack(figures)};
}

void Trainer::finish(Launched step, Observer& observer) {
  StepReport& report = step.report;
  const Tensor figures = step.figures.numbers();   // the one time that the device is waited for
  report.loss = figures[0].item<double>(), report.gradient_norm = figures[1].item<double>();
  report.skipped = !std::isfinite(report.loss) || !std::isfinite(report.gradient_norm);
  update_loss_scale(!report.skipped);
  // A skipped step uses up its batch and advances the schedule, but not Adam's count.
  state_.skipped += report.skipped;
  state_.skipped_in_row = report.skipped ? state_.skipped_in_row + 1 : 0;
  report.skipped_total = state_.skipped;
  report.memory = device_memory(setup_.model.device()).allocated_peak;
  judge_step(state_.norms, step.samples, setup_.train, report);
  report.seconds = seconds_since(std::max(step.started, reported_at_));   // late reports: from one to the next
  report.data_wait = step.waited / report.seconds;
  seconds_ += report.seconds, waited_ += step.waited;
  reported_at_ = std::chrono::steady_clock::now();
  name_spike(report, setup_.log);
  observer.on_step(report);
  check(state_.skipped_in_row < setup_.options.max_skipped_steps,
        "{} steps in a row were not finite (loss {}, gradient norm {}); last good checkpoint: {}", state_.skipped_in_row, report.loss,
        report.gradient_norm, last_good());
}

void Trainer::finish_launched(Observer& observer) {
  if (launched_) finish(*std::exchange(launched_, std::nullopt), observer);
}

bool Trainer::is_looked_at() const {
  return done() || checkpoint_is_due() || (setup_.eval.every > 0 && state_.step % setup_.eval.every == 0);
}

bool Trainer::evaluate(Observer& observer) {
  EvalReport report;
  try {
    report = setup_.evaluate();
  } catch (const Stopped&) {
    save_now(observer);
    throw;
  }
  report.step = state_.step;
  if (setup_.adapter != sole_adapter) report.adapter = setup_.adapter;
  const double metric = smaller_is_better(report, setup_.eval.metric);
  report.best = std::isfinite(metric) && (!state_.best || metric < *state_.best);
  if (report.best) state_.best = metric, state_.best_step = state_.step;
  state_.worse_evals = report.best ? 0 : state_.worse_evals + 1;
  observer.on_eval(report);
  if (report.best) begin_save(observer);
  return setup_.eval.early_stop == 0 || state_.worse_evals < setup_.eval.early_stop;
}

bool Trainer::checkpoint_is_due() const {
  if (checkpoint_every_.seconds > 0) return seconds_since(begun_at_) >= checkpoint_every_.seconds;
  return checkpoint_every_.steps > 0 && state_.step % checkpoint_every_.steps == 0;
}

void Trainer::take_step(const Share& share, const Tensor& loss, Observer& observer) {
  note_written(observer, /*wait=*/false);
  Launched step = optimize(share, loss);
  finish_launched(observer);   // the one before, now that the device has work for longer
  launched_ = std::move(step);
  if (!setup_.late_reports || is_looked_at()) finish_launched(observer);
  const bool last = state_.step == total_;
  if (setup_.evaluate && (last || (setup_.eval.every > 0 && state_.step % setup_.eval.every == 0)) && !evaluate(observer)) {
    setup_.log.info("stopped early: {} evaluations without a better {}", state_.worse_evals, setup_.eval.metric);
    stopped_early_ = true;
  }
  // After the evaluation: it is part of the state.
  if (done()) return save_now(observer);
  if (checkpoint_is_due()) begin_save(observer);
}

void Trainer::run(Observer& observer, std::stop_token stop) {
  while (!done()) {
    if (stop.stop_requested()) {
      save_now(observer);
      throw Stopped(fmt::format("stopped after step {} of {}; saved in {}", state_.step, total_, setup_.run_folder.string()));
    }
    Share share;
    Tensor loss;
    try {
      share = next_share();
      loss = backward(share);
    } catch (...) {   // no memory, say: the adapter is still what the last step left
      save_if_possible(observer);
      throw;
    }
    take_step(share, loss, observer);
  }
}

}  // namespace graft
