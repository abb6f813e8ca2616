#include "finetune.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <set>

#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/table.h"
#include "graft/io/atomic_file.h"
#include "graft/peft/adapter_file.h"
#include "graft/peft/qat.h"
#include "graft/train/evaluate.h"
#include "graft/train/trainer.h"
#include "dense_cache.h"
#include "run_record.h"
#include "session.h"
#include "task.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

// Keys that do not touch what is learnt up to a step: a run may go on with others.
constexpr std::string_view free_keys[] = {"train.epochs", "train.max_steps", "train.log_every", "eval.", "checkpoint.", "output_dir",
                                          "train.max_skipped_steps", "quantization.cache", "quantization.store"};

void check_differences(const Job& before, const Job& now, bool allow_change, const Log& log) {
  ErrorList refused;
  for (const auto& difference : differences(before, now)) {
    const bool is_free = std::any_of(std::begin(free_keys), std::end(free_keys), [&](auto key) { return difference.key.starts_with(key); });
    if (is_free || allow_change)
      log.info("changed: {}", difference.text());
    else
      refused.add("{}", difference.text());
  }
  refused.raise("the run was started with other options (--allow-change goes on with the new ones):");
}

Json facts_of(const Base& base, const Dataset& train, at::Device device, at::ScalarType dtype) {
  return {{"graft", GRAFT_VERSION},
          {"base_fingerprint", fmt::format("{:016x}", base.files->fingerprint())},
          {"data_hash", fmt::format("{:016x}", train.hash())},
          {"device", device.is_cuda() ? "cuda" : "cpu"},
          {"dtype", dtype_to_name(dtype)},
          {"threads", at::get_num_threads()},
          {"cpu_capability", at::get_cpu_capability()}};
}

/// What the checkpoint's steps were taken with must be here again: base and data to the bit; threads are set, the rest is told.
void check_facts(const Json& then, const Json& now, bool allow_change, const Log& log) {
  ErrorList refused;
  const auto differs = [&](const char* key) { return then.value(key, Json()) != now.value(key, Json()); };
  if (differs("base_fingerprint")) refused.add("the base model's files changed since the checkpoint was written");
  if (differs("data_hash")) refused.add("the training data changed since the checkpoint was written");
  if (!allow_change) refused.raise("the run cannot go on exactly (--allow-change goes on all the same):");
  for (const auto& text : refused.errors()) log.warn("{}", text);
  for (const char* key : {"device", "dtype", "cpu_capability", "threads"})
    if (differs(key)) log.warn("{} was {} and is {}: results will not be equal to the bit", key, to_line(then.value(key, Json())), to_line(now.value(key, Json())));
}

std::function<EvalReport()> make_evaluation(Transformer& model, const Job& job, const PreparedData& data, const Base& base,
                                            const Log& log, std::stop_token stop) {
  if (!data.val) return {};
  std::vector<PromptSample> prompts;
  if (!job.data.val.empty() && model.task().kind == TaskKind::causal_lm) prompts = read_prompts(job.data.val, job.data, base.tokenizer, chat_or_null(base));
  const auto labels = find_labels(prompts);
  if (!labels.empty()) log.info("held-out data has {} labels: accuracy is judged by their log-likelihood", labels.size());
  return [&model, job, val = *data.val, prompts, labels, stop] {
    EvalReport report = evaluate_loss(model, "default", val, job.eval.batch_size, stop);
    if (labels.empty()) return report;
    report.label_accuracy = label_accuracy(model, "default", prompts, labels, job.eval.batch_size, stop);
    report.labels = static_cast<int64_t>(labels.size());
    return report;
  };
}

/// The training data's distinct answers, where a prompt begins as them.
std::vector<std::string> labels_of(const Job& job, const Base& base) {
  const auto* prompt = std::get_if<PromptTuningOptions>(&job.adapter.options);
  if (!prompt || prompt->init != "labels") return {};
  const auto samples = read_prompts(job.data.train, job.data, base.tokenizer, chat_or_null(base));
  if (find_labels(samples).empty()) return {};
  std::set<std::string> labels;
  for (const auto& sample : samples) labels.insert(sample.reference);
  return {labels.begin(), labels.end()};
}

/// Fresh first values unless a checkpoint's come next.
void graft_for(Transformer& model, const Job& job, const Base& base, bool fresh, const Log& log) {
  GraftSetting setting{.seed = job.train.seed, .fresh = fresh, .tokenizer = &base.tokenizer};
  setting.original = [&](const std::string& tensor) { return base.files->read(tensor, at::kFloat); };
  if (fresh) setting.labels = model.task().labels.empty() ? labels_of(job, base) : model.task().labels;
  graft_adapter(model, "default", job.adapter, setting, log);
  if (!job.adapter.init_from.empty()) {
    load_adapter_values(model, "default", job.adapter, job.adapter.init_from);
    log.info("the adapter starts from {}", job.adapter.init_from);
    for (const auto& difference : differences(read_adapter_options(job.adapter.init_from), job.adapter))   // another alpha starts elsewhere
      if (difference.key != "init_from" && difference.key != "target_modules") log.warn("adapter.init_from: {}", difference.text());
  }
  add_fake_quantization(model, "default", job.quantization, log);
}

void say_task(const Task& task, const Log& log) {
  if (task.kind == TaskKind::causal_lm) return;
  log.info("task: {}{}{}", name_of(task.kind), task.labels.empty() ? "" : fmt::format(" of {} labels: {}", task.labels.size(), join(task.labels)),
           task.labels_texts() ? fmt::format("; pooling: {}", name_of(task.pooling)) : "");
}

/// A job that leaves the task to the data, as the run before it found it there.
Job with_task_of(Job job, const Job& before) {
  if (job.model.task == "auto") job.model.task = before.model.task;
  if (job.model.labels.empty()) job.model.labels = before.model.labels;
  if (job.model.pooling == "auto") job.model.pooling = before.model.pooling;
  return job;
}

void warn_unusual_rate(const Job& job, const Log& log) {
  const LearningRate rate = method_row(job.adapter.method).rate;
  if (*job.train.learning_rate < rate.low || *job.train.learning_rate > rate.high)
    log.warn("train.learning_rate {} is far from what {} usually takes ({} to {})", *job.train.learning_rate, job.adapter.method, rate.low, rate.high);
}

/// The run itself; `checkpoint` if it goes on.
void train_job(const Job& given, const std::optional<Checkpoint>& checkpoint, const StartOptions& start, Observer& observer, const Log& log,
               std::stop_token stop) {
  const fs::path run = given.output_dir;
  const at::Device device = device_from_name(given.device);
  const at::ScalarType dtype = dtype_from_name(given.train.dtype, device);
  if (checkpoint) at::set_num_threads(checkpoint->facts.value("threads", at::get_num_threads()));
  warn_unusual_rate(given, log);
  Base base = open_base(given.model);
  const Task task = task_of_job(given, *base.files, stop);
  Job job = given;
  job.model = with_task(job.model, task);
  say_task(task, log);
  const auto prompts = read_sample_prompts(job, base, task);
  const auto outline = outline_model(*base.files, task);
  target_sites(*outline, job.adapter), saved_sites(*outline, job.adapter);   // all that can be wrong with the adapter, before the data is read
  const PreparedData data = prepare_for(base, *outline, job.data, virtual_tokens_of(job.adapter), log, stop);
  const auto model = load_base(base, {device, dtype, job.quantization, task}, log, stop);
  graft_for(*model, job, base, !checkpoint && job.adapter.init_from.empty(), log);
  const auto method = make_method(job.adapter);
  const Json facts = facts_of(base, data.train, device, dtype);
  Trainer trainer({*model, "default", [&](std::string_view name) { return method->lr_scale(name); }, data.train, job.train,
                   *job.train.learning_rate, job.eval, make_evaluation(*model, job, data, base, log, stop), job.checkpoint, run, facts,
                   to_yaml(job), log});
  if (checkpoint) {
    check_facts(checkpoint->facts, facts, start.allow_change, log);
    trainer.restore(*checkpoint);
    log.info("goes on from step {}; the rate at the next step is {:.3g}", trainer.state().step,
             *job.train.learning_rate * trainer.schedule().at(trainer.state().step));
  }
  const TrainOptions& options = job.train;
  log.info("{} optimizer steps of {} x {} samples, peak rate {:.3g}, {}", trainer.last_step(), options.gradient_accumulation_steps,
           options.micro_batch_size, *options.learning_rate, options.lr_scheduler);
  fs::create_directories(run / "checkpoints");
  write_file(run / "job.yaml", to_yaml(job));
  const int64_t step = trainer.state().step, last = trainer.last_step();
  RunRecord record({*model, "default", base, job, data, prompts, facts, step, last, log, stop}, observer);
  DenseCache cache(*model, record.observer(), log);
  trainer.run(job.quantization.cache == "auto" ? cache : record.observer(), stop);
  write_adapter(run / "adapter", *model, "default", job.adapter, job.model.path);
  record.finish(trainer.state().step);
  log.info("done: {} steps, {} skipped; the adapter is in {}", trainer.state().step, trainer.state().skipped, (run / "adapter").string());
}

}  // namespace

void finetune(const Job& given, const StartOptions& start, Observer& observer, const Log& log, std::stop_token stop) {
  check_job(given);
  const Job job = resolved(given);
  const fs::path run = job.output_dir;
  if (fs::exists(run / "job.yaml") || fs::exists(run / "checkpoints")) {
    if (start.resume_or_start) {
      const CheckpointFolder checkpoints(run / "checkpoints", log);
      if (const auto steps = checkpoints.steps(); !steps.empty()) {
        const Job before = read_run_job(run), now = with_task_of(job, before);
        check_differences(before, now, start.allow_change, log);
        return train_job(now, checkpoints.read(steps.back()), start, observer, log, stop);
      }
    } else {
      require(start.overwrite, "{} holds a run already. --resume-or-start goes on with it; --overwrite removes it and starts anew", run.string());
      remove_run(run);
    }
  }
  train_job(job, std::nullopt, start, observer, log, stop);
}

void resume(const fs::path& run, const std::vector<std::string>& overrides, const StartOptions& start, Observer& observer, const Log& log,
            std::stop_token stop) {
  const Job before = read_run_job(run);
  Job job = read_job<Job>(read_config(run / "job.yaml", overrides));
  job.output_dir = run.string();   // the folder may have moved
  check_job(job);
  check_differences(before, job, start.allow_change, log);
  const CheckpointFolder checkpoints(run / "checkpoints", log);
  const auto steps = checkpoints.steps();
  require(!steps.empty(), "{}: has no complete checkpoint to go on from; start it again with --overwrite", run.string());
  train_job(job, checkpoints.read(steps.back()), start, observer, log, stop);
}

}  // namespace graft
