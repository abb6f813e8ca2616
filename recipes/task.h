#pragma once
// Which task a job or a model is for: asked for, told by the data, or by the model's own config.json.
#include <stop_token>

#include "graft/data/task.h"
#include "graft/models/model_files.h"
#include "job.h"
#include "session.h"

namespace graft {

/// The job's task with its labels: as model.task and model.labels say, else as the training data does. RequestErrors: a task that the model
/// has no head for, a metric that the task has not.
Task task_of_job(const Job& job, const ModelFiles& files, std::stop_token stop = {});

/// The task that these options spell out; `auto`: the model's own.
Task task_of(const ModelOptions& options, const ModelFiles& files);

/// A target's, whose run knows the seed of a head that the base's files lack.
Task task_of(const Target& target, const ModelFiles& files);

/// The options with the task spelled out, as a run's job.yaml keeps them.
ModelOptions with_task(ModelOptions options, const Task& task);

}  // namespace graft
