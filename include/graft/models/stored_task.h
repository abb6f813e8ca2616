#pragma once
// What a checkpoint itself says it was trained for, and what its file may hold beside.
#include <string_view>

#include "graft/core/json.h"
#include "graft/data/task.h"

namespace graft {

/// By config.json's architectures, id2label, problem_type and our own graft.pooling; causal_lm if they name no classifier.
Task stored_task(const Json& config);

/// The config that says so: what an export of a classifier writes.
Json with_stored_task(Json config, const Task& task);

/// Whether a tensor is allowed in a file although the model with its task takes it not: heads of other tasks by transformers' names, the
/// pooler of an encoder, and tables that are computed.
bool may_be_left(std::string_view tensor);

}  // namespace graft
