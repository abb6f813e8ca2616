// A run: its adapters' data, trainers and files round one loaded base.
#include "run.h"

#include <ATen/Parallel.h>

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
#include "graft/train/together.h"
#include "dense_cache.h"
#include "memory_choice.h"
#include "model_writer.h"
#include "out_of_memory.h"
#include "run_facts.h"
#include "run_record.h"
#include "sample_lengths.h"
#include "session.h"
#include "task.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

/// One adapter of a run, from its job to its trainer.
struct Member {
  std::string name;
  Job job;
  std::optional<Checkpoint> checkpoint;
  Log log;   // says whose message it is, where there are several
  std::optional<PreparedData> data;
  SampleLengths lengths;
  std::unique_ptr<Trainer> trainer;
  std::vector<SamplePrompt> prompts;
  std::unique_ptr<RunRecord> record;
};

std::function<EvalReport()> make_evaluation(Transformer& model, const Member& member, const Base& base, const std::stop_token& stop) {
  const Job& job = member.job;
  if (!member.data->val) return {};
  std::vector<PromptSample> prompts;
  if (!job.data.val.empty() && model.task().kind == TaskKind::causal_lm) prompts = read_prompts(job.data.val, job.data, base.tokenizer, chat_or_null(base));
  const auto labels = find_labels(prompts);
  if (!labels.empty()) member.log.info("held-out data has {} labels: accuracy is judged by their log-likelihood", labels.size());
  return [&model, name = member.name, job, val = *member.data->val, prompts, labels, stop] {
    EvalReport report = evaluate_loss(model, name, val, job.eval.batch_size, stop);
    if (labels.empty()) return report;
    report.label_accuracy = label_accuracy(model, name, prompts, labels, job.eval.batch_size, stop);
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
void seat(Transformer& model, const Member& member, const Base& base) {
  const Job& job = member.job;
  const std::string& from = job.adapter.init_from;
  const bool fresh = !member.checkpoint && from.empty();
  GraftSetting setting{.seed = job.train.seed, .fresh = fresh, .tokenizer = &base.tokenizer};
  setting.original = [&](const std::string& tensor) { return base.files->read(tensor, at::kFloat); };
  if (fresh) setting.labels = model.task().labels.empty() ? labels_of(job, base) : model.task().labels;
  graft_adapter(model, member.name, job.adapter, setting, member.log);
  if (!from.empty()) {
    load_adapter_values(model, member.name, job.adapter, from);
    member.log.info("the adapter starts from {}", from);
    for (const auto& difference : differences(read_adapter_options(from), job.adapter))   // another alpha starts elsewhere
      if (difference.key != "init_from" && difference.key != "target_modules") member.log.warn("adapter.init_from: {}", difference.text());
  }
  add_fake_quantization(model, member.name, job.quantization, member.log);
}

void say_task(const Task& task, const Log& log) {
  if (task.kind == TaskKind::causal_lm) return;
  log.info("task: {}{}{}", name_of(task.kind), task.labels.empty() ? "" : fmt::format(" of {} labels: {}", task.labels.size(), join(task.labels)),
           task.labels_texts() ? fmt::format("; pooling: {}", name_of(task.pooling)) : "");
}

void warn_unusual_rate(const Job& job, const Log& log) {
  const LearningRate rate = method_row(job.adapter.method).rate;
  if (*job.train.learning_rate < rate.low || *job.train.learning_rate > rate.high)
    log.warn("train.learning_rate {} is far from what {} usually takes ({} to {})", *job.train.learning_rate, job.adapter.method, rate.low, rate.high);
}

Log named(const Log& log, const std::string& name) {
  return Log([log, name](LogLevel level, const std::string& text) {
    level == LogLevel::warning ? log.warn("{}: {}", name, text) : log.info("{}: {}", name, text);
  });
}

/// All that can be wrong with the adapters and their data, before any weight is read. Returns the task, which is the model's and so theirs all.
Task prepare(std::vector<Member>& members, const Base& base, const std::stop_token& stop) {
  std::optional<Task> task;
  for (auto& member : members) {
    warn_unusual_rate(member.job, member.log);
    const Task own = task_of_job(member.job, *base.files, stop);
    require(!task || *task == own, "{} and {} have different tasks, labels or (of a new head) seeds: adapters over one base share its head",
            members.front().name, member.name);
    require(!member.job.data.packing || own.kind == TaskKind::causal_lm, "data.packing: rows of several samples are for the next token, not for {}", name_of(own.kind));
    require(member.job.train.label_smoothing == 0 || own.kind != TaskKind::regression, "train.label_smoothing: a regression has no labels to smooth");
    if (!task) say_task(own, member.log);
    task = own;
    member.job.model = with_task(member.job.model, own);
    member.job.adapter = with_new_tokens(member.job.adapter, member.job.model, base.tokenizer);
    member.prompts = read_sample_prompts(member.job, base, own);
    const auto outline = outline_model(*base.files, own);
    target_sites(*outline, member.job.adapter), saved_sites(*outline, member.job.adapter), token_sites(*outline, member.job.adapter);
    member.data = prepare_for(base, *outline, member.job.data, virtual_tokens_of(member.job.adapter), member.log, stop);
    member.lengths = lengths_of(member.job, *outline, member.data->train, device_from_name(member.job.device));
  }
  return *task;
}

void make_trainer(Member& member, Transformer& model, const Base& base, const Json& facts, bool allow_change, const std::stop_token& stop) {
  const Job& job = member.job;
  const std::shared_ptr<Method> method = make_method(job.adapter);
  seat(model, member, base);
  member.trainer = std::make_unique<Trainer>(
      TrainerSetup{model, member.name, [method](std::string_view name) { return method->lr_scale(name); }, member.data->train,
                   job.data.packing ? job.data.max_length : 0, member.lengths.shared, job.train,
                   *job.train.learning_rate, job.eval, make_evaluation(model, member, base, stop), job.checkpoint, job.output_dir, facts, to_yaml(job), member.log,
                   model.device().is_cuda()});
  if (member.checkpoint) {
    check_facts(member.checkpoint->facts, facts, allow_change, member.log);
    member.trainer->restore(*member.checkpoint);
    member.log.info("goes on from step {}; the rate at the next step is {:.3g}", member.trainer->state().step,
                    *job.train.learning_rate * member.trainer->schedule().at(member.trainer->state().step));
  }
  member.log.info("{} optimizer steps of {} x {} {}, peak rate {:.3g}, {}", member.trainer->last_step(), job.train.gradient_accumulation_steps,
                  job.train.micro_batch_size, job.data.packing ? "rows" : "samples", *job.train.learning_rate, job.train.lr_scheduler);
}

void open_record(Member& member, Transformer& model, const Base& base, const Json& facts, Observer& observer, const std::stop_token& stop) {
  const fs::path run = member.job.output_dir;
  make_folders(run / "checkpoints");
  write_file(run / "job.yaml", to_yaml(member.job));
  const Trainer& trainer = *member.trainer;
  member.record = std::make_unique<RunRecord>(RunRecord::Setup{model, member.name, base, member.job, *member.data, member.prompts, facts, trainer.state().step,
                                                               trainer.last_step(), member.log, stop}, observer);
}

/// Decides what train.recompute and train.graphs leave to the memory, for all alike. Returns what a step takes by the plan.
int64_t settle_memory(std::vector<Member>& members, const Base& base, const Task& task, at::Device device, const Log& log) {
  const auto outline = outline_model(*base.files, task);
  std::vector<std::unique_ptr<StepPlanner>> planners;
  std::vector<PlannedPass> passes;
  int64_t held = 0, rows = 0;
  for (const Member& member : members) {
    const Job& job = member.job;
    const Storage storage = [&](const std::string& module) { return storage_of(*base.files, job.quantization, module); };
    planners.push_back(std::make_unique<StepPlanner>(*outline, base.files->config(), storage, job.adapter, job.quantization));
    passes.push_back({*planners.back(), shape_of(job, member.lengths, device), planners.back()->adapter_bytes()});
    held += passes.back().beside, rows += passes.back().shape.rows;
  }
  for (PlannedPass& pass : passes) {
    pass.beside = held - pass.beside;   // the others'
    if (members.front().job.train.share_rows) pass.shape.rows = rows;
  }
  TrainOptions& first = members.front().job.train;
  const MemoryChoice choice = choose_for_memory(first, passes, device_memory(device).free);
  if (first.recompute == automatic) log.info("train.recompute: {}: {}", choice.recompute, choice.why);
  else if (choice.graphs != first.graphs) log.info("train.graphs: off: {}", choice.why);
  if (first.recompute == automatic && !choice.fits) log.warn("by the plan no way to recompute fits in the free memory: a smaller train.micro_batch_size or data.max_length would");
  const bool without_graphs = choice.graphs != first.graphs;
  for (Member& member : members) {
    member.job.train.recompute = choice.recompute;
    if (without_graphs) member.job.train.graphs = choice.graphs;
  }
  return choice.bytes;
}

/// Rephrases what LibTorch throws where the memory ends.
void within_memory(const Member& member, at::Device device, int64_t planned, const std::function<void()>& work) try {
  work();
} catch (const std::exception& e) {
  if (!is_out_of_memory(e)) throw;
  fail("{}", out_of_memory_text(e, member.job, device_memory(device).allocated_peak, planned));
}

void train(Transformer& model, std::vector<Member>& members, const Log& log, const std::stop_token& stop) {
  const Job& job = members.front().job;
  DenseCache cache(model, members.front().record->observer(), log);
  Observer& first = job.quantization.cache == "auto" ? cache : members.front().record->observer();
  if (members.size() == 1) return members.front().trainer->run(first, stop);
  std::vector<TrainedAdapter> adapters;
  for (auto& member : members) adapters.push_back({*member.trainer, &member == &members.front() ? first : member.record->observer()});
  train_together(model, adapters, job.train.share_rows, stop);
}

}  // namespace

void run_jobs(std::vector<RunPart> parts, bool allow_change, Observer& observer, const Log& log, std::stop_token stop) {
  std::vector<Member> members;
  for (auto& [name, job, checkpoint] : parts)
    members.push_back({name, std::move(job), std::move(checkpoint), parts.size() == 1 ? log : named(log, name), std::nullopt, {}, nullptr, {}, nullptr});
  const Job& job = members.front().job;   // of what they share
  const Deterministic repeatable(job.deterministic);
  const at::Device device = device_from_name(job.device);
  const at::ScalarType dtype = dtype_from_name(job.train.dtype, device);
  if (const auto& checkpoint = members.front().checkpoint) at::set_num_threads(checkpoint->facts.value("threads", at::get_num_threads()));
  const Base base = open_base(job.model);
  const Task task = prepare(members, base, stop);
  const int64_t planned = settle_memory(members, base, task, device, log);
  std::shared_ptr<Transformer> model;
  within_memory(members.front(), device, planned, [&] { model = load_base(base, {device, dtype, job.quantization, task}, log, stop); });
  for (auto& member : members) {
    const Json facts = facts_of(base, member.job, *member.data, device, dtype);
    make_trainer(member, *model, base, facts, allow_change, stop);
    open_record(member, *model, base, facts, observer, stop);
  }
  within_memory(members.front(), device, planned, [&] { train(*model, members, log, stop); });
  for (const auto& member : members) {
    const fs::path folder = fs::path(member.job.output_dir) / "adapter";
    write_adapter(folder, *model, member.name, member.job.adapter, member.job.model.path);
    if (!job.model.new_tokens.empty()) write_tokenizer(folder, base);
    const TrainState& state = member.trainer->state();
    member.record->finish(state.step);
    member.log.info("done: {} steps, {} skipped; {:.1f} % of their time waited for data; the adapter is in {}", state.step, state.skipped,
                    100 * member.trainer->data_wait(), folder.string());
  }
}

}  // namespace graft
