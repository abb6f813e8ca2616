#pragma once
// Labels in data files, and the task that they make.
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/json.h"
#include "graft/data/dataset.h"

namespace graft {

/// A label as a name: text as it is, numbers and truth values as JSON writes them (a whole number without its ".0").
std::string label_name(const Json& label);

/// Its class: the label of this name, or (a whole number where no label is named by a number) the label of this index. nullopt: none.
std::optional<int32_t> find_label(const Json& label, const std::vector<std::string>& labels);
/// The same; a RequestError that lists the task's labels.
int32_t label_id(const Json& label, const Task& task);
/// A regression's number.
float label_value(const Json& label);

/// What the training data is for, by its formats (all of them for the same, and for the kind asked for), with the distinct labels of its
/// samples: numbers ascending if all are whole, others by their bytes; numbers with a fraction make it a regression, if no kind is asked for.
/// `known`: label names that are kept, in their order, if each label of the data is among them. Faults of single samples are left to
/// prepare_data.
Task task_of_data(const DataOptions& options, std::optional<TaskKind> asked, const std::vector<std::string>& known, std::stop_token stop = {});

}  // namespace graft
