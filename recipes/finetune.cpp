#include "finetune.h"

#include <algorithm>
#include <memory>
#include <set>

#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/folder_lock.h"
#include "run.h"
#include "run_record.h"
#include "session.h"

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

/// A job that leaves the task to the data and its new tokens' ids to the model, as the run before it found them there.
Job with_findings_of(Job job, const Job& before) {
  if (job.model.new_tokens == before.model.new_tokens)
    for (const int id : before.adapter.trainable_token_indices)
      if (auto& ids = job.adapter.trainable_token_indices; std::find(ids.begin(), ids.end(), id) == ids.end() && !job.model.new_tokens.empty()) ids.push_back(id);
  if (job.model.task == "auto") job.model.task = before.model.task;
  if (job.model.labels.empty()) job.model.labels = before.model.labels;
  if (job.model.pooling == "auto") job.model.pooling = before.model.pooling;
  return job;
}

/// What the memory decided when the run began holds for all of it.
void keep_memory_choice(TrainOptions& train, const TrainOptions& before) {
  if (train.recompute == automatic) train.recompute = before.recompute;
  if (train.graphs == automatic) train.graphs = before.graphs;
}

/// The part as it goes on; `job` may differ from the run's own in what start and free_keys allow.
RunPart going_on(const std::string& name, const Job& job, const StartOptions& start, const Log& log) {
  const fs::path run = job.output_dir;
  RunPart part{name, resolved(job), CheckpointFolder(run / "checkpoints", log).read_last()};
  if (!part.checkpoint) return part;
  const Job before = read_run_job(run);
  part.job = with_findings_of(part.job, before);
  if (!start.allow_change) keep_memory_choice(part.job.train, before.train);
  check_differences(before, part.job, start.allow_change, log);
  return part;
}

bool holds_a_run(const fs::path& folder) { return fs::exists(folder / "job.yaml") || fs::exists(folder / "checkpoints"); }

void remove_runs(const Jobs& jobs) {
  for (const auto& [name, job] : jobs.each) remove_run(job.output_dir);
  remove_run(jobs.output_dir);
}

/// All parts that have a checkpoint go on, the others start.
std::vector<RunPart> parts_going_on(const Jobs& jobs, const StartOptions& start, const Log& log) {
  std::vector<RunPart> parts;
  for (const auto& [name, job] : jobs.each) parts.push_back(going_on(name, job, start, log));
  return parts;
}

bool has_checkpoint(const std::vector<RunPart>& parts) {
  return std::any_of(parts.begin(), parts.end(), [](const RunPart& part) { return part.checkpoint.has_value(); });
}

/// Nobody else works in a run's folders, nor in an adapter's own, until the run ends.
std::vector<std::unique_ptr<FolderLock>> locked(const Jobs& jobs, const Log& log) {
  std::set<fs::path> folders{jobs.output_dir};
  for (const auto& [name, job] : jobs.each) folders.insert(job.output_dir);
  std::vector<std::unique_ptr<FolderLock>> locks;
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {   // inner ones are left first: an outer one may be empty then
    locks.push_back(std::make_unique<FolderLock>(*folder));
    if (!locks.back()->held()) log.warn("{}: its file system has no locks; nothing keeps a second process out", folder->string());
  }
  return locks;
}

/// The config of several is kept beside their folders: resume finds them by it.
void start_run(const Jobs& jobs, std::vector<RunPart> parts, const StartOptions& start, Observer& observer, const Log& log, std::stop_token stop) {
  if (jobs.several()) {
    fs::create_directories(jobs.output_dir);
    write_file(fs::path(jobs.output_dir) / "job.yaml", jobs.config);
  }
  run_jobs(std::move(parts), start.allow_change, observer, log, std::move(stop));
}

}  // namespace

void finetune(const Jobs& jobs, const StartOptions& start, Observer& observer, const Log& log, std::stop_token stop) {
  std::vector<RunPart> parts;
  ErrorList errors;
  for (const auto& [name, job] : jobs.each) errors.guard([&] { check_job(job); });
  if (errors.errors().size() == 1) refuse("{}", errors.errors().front());
  errors.raise("several of the jobs cannot run:");
  const auto locks = locked(jobs, log);
  if (holds_a_run(jobs.output_dir)) {
    require(start.resume_or_start || start.overwrite, "{} holds a run already. --resume-or-start goes on with it; --overwrite removes it and starts anew",
            jobs.output_dir);
    if (start.resume_or_start) parts = parts_going_on(jobs, start, log);
    if (start.overwrite) remove_runs(jobs);
  }
  if (!has_checkpoint(parts)) {
    parts.clear();
    for (const auto& [name, job] : jobs.each) parts.push_back({name, resolved(job), std::nullopt});
  }
  start_run(jobs, std::move(parts), start, observer, log, std::move(stop));
}

void resume(const fs::path& run, const std::vector<std::string>& overrides, const StartOptions& start, Observer& observer, const Log& log,
            std::stop_token stop) {
  require(fs::exists(run / "job.yaml"), "{}: not a run's folder (no job.yaml)", run.string());
  ConfigTree config = read_config(run / "job.yaml", overrides);
  if (ConfigNode* folder = config.root.find("output_dir")) folder->text = run.string(), folder->kind = ConfigNode::Kind::scalar;   // it may have moved
  const Jobs jobs = read_jobs(config);
  for (const auto& [name, job] : jobs.each) check_job(job);
  const auto locks = locked(jobs, log);
  std::vector<RunPart> parts = parts_going_on(jobs, start, log);
  require(has_checkpoint(parts), "{}: has no complete checkpoint to go on from; start it again with --overwrite", run.string());
  start_run(jobs, std::move(parts), start, observer, log, std::move(stop));
}

}  // namespace graft
