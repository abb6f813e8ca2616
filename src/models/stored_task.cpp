#include "graft/models/stored_task.h"

#include <algorithm>

#include "graft/core/error.h"
#include "graft/models/family.h"

namespace graft {
namespace {

constexpr std::string_view heads[] = {"cls.", "lm_head.", "classifier.", "score.", "qa_outputs.", "bert.pooler.", "roberta.pooler."};
constexpr std::string_view computed[] = {"rotary_emb.inv_freq", "embeddings.position_ids", "embeddings.token_type_ids"};

std::vector<std::string> stored_labels(const Json& config) {
  const Json names = config.value("id2label", Json());
  const int64_t count = names.is_object() ? static_cast<int64_t>(names.size()) : config.value("num_labels", int64_t{2});
  std::vector<std::string> labels;
  for (int64_t i = 0; i < count; ++i) {
    const Json name = names.is_object() ? names.value(std::to_string(i), Json()) : Json(fmt::format("LABEL_{}", i));   // transformers' default
    require(name.is_string(), "config.json: id2label names no label {}", i);
    labels.push_back(name.get<std::string>());
  }
  return labels;
}

}  // namespace

Task stored_task(const Json& config) {
  Task task;
  const Json architectures = config.value("architectures", Json());
  const std::string name = architectures.is_array() && !architectures.empty() && architectures[0].is_string() ? architectures[0].get<std::string>() : "";
  if (name.ends_with("ForTokenClassification")) task.kind = TaskKind::token_classification;
  if (name.ends_with("ForSequenceClassification")) task.kind = TaskKind::sequence_classification;
  if (task.kind == TaskKind::causal_lm) return task;
  task.labels = stored_labels(config);
  if (const Json own = config.value("graft", Json()); own.is_object()) task.pooling = pooling_named(own.value("pooling", std::string("auto")));
  const Json problem = config.value("problem_type", Json());
  require(problem != "multi_label_classification", "config.json: problem_type: several labels a text are not supported");
  if (task.kind == TaskKind::sequence_classification && (problem == "regression" || (problem.is_null() && task.labels.size() == 1))) {
    require(task.labels.size() == 1, "config.json: a regression of {} numbers is not supported", task.labels.size());
    task.kind = TaskKind::regression, task.labels.clear();
  }
  return task;
}

Json with_stored_task(Json config, const Task& task) {
  if (task.kind == TaskKind::causal_lm) return config;
  std::string name(family_of(config).architecture);
  for (const std::string_view end : {"ForCausalLM", "LMHeadModel", "Model"})
    if (name.ends_with(end)) name.resize(name.size() - end.size());
  name += task.kind == TaskKind::token_classification ? "ForTokenClassification" : "ForSequenceClassification";
  config["architectures"] = {name};
  config["id2label"] = Json::object(), config["label2id"] = Json::object();
  const std::vector<std::string> labels = task.kind == TaskKind::regression ? std::vector<std::string>{"LABEL_0"} : task.labels;
  for (size_t i = 0; i < labels.size(); ++i) config["id2label"][std::to_string(i)] = labels[i], config["label2id"][labels[i]] = i;
  config["problem_type"] = task.kind == TaskKind::regression ? "regression" : Json();
  if (task.pooling == Pooling::mean) config["graft"]["pooling"] = "mean";   // transformers has no head that pools so
  return config;
}

bool may_be_left(std::string_view tensor) {
  return std::any_of(std::begin(heads), std::end(heads), [&](auto head) { return tensor.starts_with(head); }) ||
         std::any_of(std::begin(computed), std::end(computed), [&](auto table) { return tensor.ends_with(table); });
}

}  // namespace graft
