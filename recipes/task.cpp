#include "task.h"

#include "graft/core/error.h"
#include "graft/data/labels.h"
#include "graft/models/load.h"
#include "graft/models/stored_task.h"
#include "graft/train/metrics.h"

namespace graft {
namespace {

bool is_spelled_out(const ModelOptions& options) {
  if (options.task == "auto") return false;
  const TaskKind kind = task_kind(options.task);
  return kind == TaskKind::causal_lm || kind == TaskKind::regression || !options.labels.empty();
}

Task as_spelled(const ModelOptions& options) {
  Task task;
  task.kind = task_kind(options.task);
  task.labels = options.labels;
  task.pooling = pooling_named(options.pooling);
  return task;
}

/// What the data says, under the labels that the job or the model's own head name.
Task from_data(const Job& job, const ModelFiles& files, const std::stop_token& stop) {
  const Task own = stored_task(files.config());
  std::optional<TaskKind> asked;
  if (job.model.task != "auto") asked = task_kind(job.model.task);
  Task task = task_of_data(job.data, asked, job.model.labels.empty() ? own.labels : job.model.labels, stop);
  if (!job.model.labels.empty()) task.labels = job.model.labels;   // prepare_data names a label that is none of them
  task.pooling = job.model.pooling == "auto" ? own.pooling : pooling_named(job.model.pooling);
  return task;
}

}  // namespace

Task task_of_job(const Job& job, const ModelFiles& files, std::stop_token stop) {
  Task task = is_spelled_out(job.model) ? as_spelled(job.model) : from_data(job, files, stop);
  task.seed = job.train.seed;
  const auto outline = outline_model(files, task);
  require(task.kind != TaskKind::causal_lm || outline->vocabulary_head(),
          "{} is an encoder, which predicts no next token: set model.task, or give labelled data (data format classification or token_classification)", files.where());
  require(has_metric(task.kind, job.eval.metric), "eval.metric: {} has no {}", name_of(task.kind), job.eval.metric);
  return outline->task();
}

Task task_of(const ModelOptions& options, const ModelFiles& files) {
  Task task = is_spelled_out(options) ? as_spelled(options) : stored_task(files.config());
  if (options.task != "auto") require(task_kind(options.task) == task.kind, "{}: model.task: {} needs model.labels", files.where(), options.task);
  if (options.pooling != "auto") task.pooling = pooling_named(options.pooling);
  return task;
}

Task task_of(const Target& target, const ModelFiles& files) {
  Task task = task_of(target.model, files);
  task.seed = target.seed;
  return task;
}

ModelOptions with_task(ModelOptions options, const Task& task) {
  options.task = name_of(task.kind);
  options.labels = task.labels;
  options.pooling = task.kind == TaskKind::causal_lm ? "auto" : name_of(task.pooling);
  return options;
}

}  // namespace graft
