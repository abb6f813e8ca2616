#include "graft/data/formats.h"

#include <algorithm>
#include <iterator>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "layouts.h"

namespace graft {

namespace {

// The growth table: a layout is one row here and one reader in layouts.cpp.
const DataFormat messages{"messages", {"messages"}, "", {"tools"}, read_messages_record};
const DataFormat sharegpt{"sharegpt", {"conversations"}, "", {"system", "tools"}, read_sharegpt_record};
const DataFormat alpaca{"alpaca", {"instruction"}, "output", {"input"}, read_alpaca_record};
const DataFormat prompt_completion{"prompt_completion", {"prompt"}, "completion", {"tools"}, read_prompt_completion_record};
const DataFormat text{"text", {"text"}, "", {}, read_text_record};
const DataFormat classification{"classification", {"text"}, "label", {"text_pair"}, read_classification_record, TaskKind::sequence_classification};
const DataFormat token_classification{"token_classification", {"tokens"}, "tags", {}, read_token_classification_record, TaskKind::token_classification};
const DataFormat* const table[] = {&messages, &sharegpt, &alpaca, &prompt_completion, &text, &classification, &token_classification};

std::vector<std::string> fields_of(const DataFormat& format, Answer answer) {
  std::vector<std::string> fields = format.prompt;
  if (!format.answer.empty() && answer == Answer::needed) fields.push_back(format.answer);
  return fields;
}

std::vector<std::string> all_fields(const DataFormat& format) {
  std::vector<std::string> fields = fields_of(format, Answer::needed);
  fields.insert(fields.end(), format.optional.begin(), format.optional.end());
  return fields;
}

bool could_be(const DataFormat& format, const Json& record, const std::map<std::string, std::string>& columns, Answer answer) {
  const std::vector<std::string> known = all_fields(format);
  for (const auto& [name, column] : columns)
    if (std::ranges::find(known, name) == known.end()) return false;  // the columns name fields of another format
  const Fields fields(record, columns);
  return std::ranges::all_of(fields_of(format, answer), [&](const auto& name) { return fields.find(name) != nullptr; });
}

std::string field_names(const Json& record) {
  std::vector<std::string> names;
  for (const auto& item : record.items()) names.push_back(item.key());
  return names.empty() ? "none" : join(names);
}

[[noreturn]] void refuse_unknown(const Json& record, Answer answer) {
  std::string known;
  for (const DataFormat* format : table)
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", format->name, join(fields_of(*format, answer)));
  refuse("no format has these fields: {}; known formats: {}; map other names with `columns: {{ours: theirs}}`",
         field_names(record), known);
}

/// Whether a record of format a holds all that b needs, and more.
bool says_more(const DataFormat& a, const DataFormat& b, Answer answer) {
  const auto more = fields_of(a, answer), less = fields_of(b, answer);
  return more.size() > less.size() && std::ranges::all_of(less, [&](const auto& name) { return std::ranges::find(more, name) != more.end(); });
}

}  // namespace

std::span<const DataFormat* const> data_formats() { return table; }

Fields::Fields(const Json& record, const std::map<std::string, std::string>& columns, Answer answer)
    : record_(record), columns_(columns), answer_(answer) {}

std::string Fields::column(std::string_view name) const {
  const auto mapped = columns_.find(std::string(name));
  return mapped == columns_.end() ? std::string(name) : mapped->second;
}

const Json* Fields::find(std::string_view name) const {
  const auto field = record_.find(column(name));
  return field == record_.end() ? nullptr : &*field;
}

const Json& Fields::at(std::string_view name) const {
  const Json* field = find(name);
  require(field != nullptr, "no field '{}'; there are: {}", column(name), field_names(record_));
  require(!field->is_null(), "'{}' is null", column(name));
  return *field;
}

std::string Fields::text(std::string_view name) const {
  const Json& field = at(name);
  require(field.is_string(), "'{}': expected text, got {}", column(name), field.type_name());
  return field.get<std::string>();
}

bool serves(const DataFormat& format, const TaskKind* task) {
  return task == nullptr || format.task == (*task == TaskKind::regression ? TaskKind::sequence_classification : *task);
}

const DataFormat& detect_format(std::span<const Json> records, const std::map<std::string, std::string>& columns, Answer answer, const TaskKind* task) {
  std::vector<const DataFormat*> candidates;
  std::ranges::copy_if(table, std::back_inserter(candidates), [&](const DataFormat* format) { return serves(*format, task); });
  for (const Json& record : records) {
    require(record.is_object(), "expected an object for each sample, got {}", record.type_name());
    std::erase_if(candidates, [&](const DataFormat* format) { return !could_be(*format, record, columns, answer); });
    if (candidates.empty()) refuse_unknown(record, answer);
  }
  const auto all = candidates;
  std::erase_if(candidates, [&](const DataFormat* less) { return std::ranges::any_of(all, [&](const DataFormat* more) { return says_more(*more, *less, answer); }); });
  if (candidates.size() == 1) return *candidates.front();
  std::vector<std::string> names;
  names.reserve(candidates.size());
  for (const DataFormat* format : candidates) names.emplace_back(format->name);
  refuse("the format could be {} (fields: {}): say which with `format:`", join(names, " or "), field_names(records.front()));
}

void check_columns(const DataFormat* format, const std::map<std::string, std::string>& columns) {
  std::vector<std::string> known;
  for (const DataFormat* row : table) {
    if (format != nullptr && row != format) continue;
    for (auto& name : all_fields(*row)) known.push_back(std::move(name));
  }
  for (const auto& [name, column] : columns)
    require(std::ranges::find(known, name) != known.end(), "columns: '{}' is no field of {}{}; fields: {}", name,
            format ? fmt::format("format {}", format->name) : "any format", did_you_mean(name, known), join(known));
}

}  // namespace graft
