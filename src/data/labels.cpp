#include "graft/data/labels.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "pass.h"
#include "stream.h"

namespace graft {

namespace {

bool is_whole(const Json& label) {
  return label.is_number_integer() || (label.is_number() && label.get<double>() == std::floor(label.get<double>()));
}

std::vector<Json> labels_of(const Sample& sample) {
  if (const auto* text = std::get_if<LabelledText>(&sample)) return {text->label};
  if (const auto* words = std::get_if<TaggedWords>(&sample)) return words->tags;
  return {};
}

/// The distinct labels of all sources, by name.
std::map<std::string, Json> distinct_labels(const std::vector<SourceInput>& sources, const std::stop_token& stop) {
  std::map<std::string, Json> distinct;
  SourceStream stream(sources);
  OrderedPass<RecordChunk, std::map<std::string, Json>> pass;
  pass.read = [&](RecordChunk& chunk) { return stream.next(chunk); };
  pass.work = [&](const RecordChunk& chunk) {
    std::map<std::string, Json> found;
    for (const Record& record : chunk.records) {
      try {
        for (Json& label : labels_of(read_sample(record, sources[chunk.source], chunk.file, Answer::needed))) found.emplace(label_name(label), std::move(label));
      } catch (const Error&) {  // prepare_data reports it, with all others
      }
    }
    return found;
  };
  pass.write = [&](std::map<std::string, Json>&& found) { distinct.merge(found); };
  pass.run(stop);
  return distinct;
}

std::vector<std::string> in_order(const std::map<std::string, Json>& labels) {
  std::vector<std::string> names;
  names.reserve(labels.size());
  for (const auto& [name, label] : labels) names.push_back(name);
  if (std::ranges::all_of(labels, [](const auto& item) { return is_whole(item.second); }))
    std::ranges::sort(names, {}, [](const std::string& name) { return std::stod(name); });
  return names;
}

/// The task of the sources' formats; a regression is not told yet.
TaskKind kind_of(const std::vector<SourceInput>& sources) {
  const SourceInput* first = nullptr;
  for (const SourceInput& source : sources) {
    if (source.format == nullptr) continue;
    if (first == nullptr) first = &source;
    require(source.format->task == first->format->task, "data.train: {} is format {}, {} is format {}: one job has one task", first->options.path,
            first->format->name, source.options.path, source.format->name);
  }
  return first ? first->format->task : TaskKind::causal_lm;
}

}  // namespace

std::string label_name(const Json& label) {
  if (label.is_string()) return label.get<std::string>();
  if (label.is_number_float() && is_whole(label)) return fmt::format("{:.0f}", label.get<double>());
  require(label.is_number() || label.is_boolean(), "a label is a text, a number or true or false, not {}", to_line(label).substr(0, 80));
  return to_line(label);
}

std::optional<int32_t> find_label(const Json& label, const std::vector<std::string>& labels) {
  const auto named = std::ranges::find(labels, label_name(label));
  if (named != labels.end()) return static_cast<int32_t>(named - labels.begin());
  if (!label.is_number_integer() || std::ranges::any_of(labels, [](const std::string& name) { return !name.empty() && name.find_first_not_of("0123456789-") == std::string::npos; }))
    return std::nullopt;
  const auto index = label.get<int64_t>();
  return index >= 0 && index < static_cast<int64_t>(labels.size()) ? std::optional(static_cast<int32_t>(index)) : std::nullopt;
}

int32_t label_id(const Json& label, const Task& task) {
  const auto id = find_label(label, task.labels);
  if (!id) refuse("label '{}' is none of the task's: {}", label_name(label), join(task.labels));
  return *id;
}

float label_value(const Json& label) {
  require(label.is_number() && std::isfinite(label.get<double>()), "a regression's label is a number, not {}", to_line(label).substr(0, 80));
  return label.get<float>();
}

Task task_of_data(const DataOptions& options, std::optional<TaskKind> asked, const std::vector<std::string>& known, std::stop_token stop) {
  ErrorList errors;
  const auto sources = open_sources(options.train, Answer::needed, errors, asked ? &*asked : nullptr);
  errors.raise("the data cannot be used:");
  Task task;
  task.kind = asked.value_or(kind_of(sources));
  if (task.kind == TaskKind::causal_lm || task.kind == TaskKind::regression) return task;
  const auto labels = distinct_labels(sources, stop);
  const auto all = [&](auto&& holds) { return std::ranges::all_of(labels, [&](const auto& item) { return holds(item.second); }); };
  if (!asked && task.kind == TaskKind::sequence_classification && all([](const Json& label) { return label.is_number(); }) && !all(is_whole)) {
    task.kind = TaskKind::regression;
    return task;
  }
  const bool covered = !known.empty() && all([&](const Json& label) { return find_label(label, known).has_value(); });
  task.labels = covered ? known : in_order(labels);
  require(task.labels.size() >= 2, "data.train: {} label(s) in all: nothing to tell apart", task.labels.size());
  return task;
}

}  // namespace graft
