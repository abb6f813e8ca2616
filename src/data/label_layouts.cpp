// Readers of labelled data.
#include "graft/core/error.h"
#include "graft/data/labels.h"
#include "layouts.h"

namespace graft {

namespace {

/// A record's label or tag, of a kind that labels may be.
Json checked_label(const Json& label, const std::string& where) {
  require(label.is_string() || label.is_number() || label.is_boolean(), "{}: expected a text, a number, true or false, got {}", where, label.type_name());
  return label;
}

}  // namespace

Sample read_classification_record(const Fields& record) {
  LabelledText sample{record.text("text"), std::nullopt, nullptr};
  if (const Json* pair = record.find("text_pair"); pair != nullptr && !pair->is_null()) sample.pair = record.text("text_pair");
  if (record.find("label") != nullptr || record.answer() == Answer::needed) sample.label = checked_label(record.at("label"), fmt::format("'{}'", record.column("label")));
  return sample;
}

Sample read_token_classification_record(const Fields& record) {
  TaggedWords sample;
  const auto list = [&](const char* name) -> const Json& {
    const Json& field = record.at(name);
    require(field.is_array(), "'{}': expected a list, got {}", record.column(name), field.type_name());
    return field;
  };
  const Json& words = list("tokens");
  require(!words.empty(), "'{}' is empty", record.column("tokens"));
  for (size_t i = 0; i < words.size(); ++i) {
    require(words[i].is_string() && !words[i].get<std::string>().empty(), "{}[{}]: expected a word, got {}", record.column("tokens"), i, to_line(words[i]).substr(0, 80));
    sample.words.push_back(words[i].get<std::string>());
  }
  if (record.find("tags") == nullptr && record.answer() == Answer::optional) return sample;
  const Json& tags = list("tags");
  require(tags.size() == words.size(), "{} words in '{}' and {} labels in '{}'", words.size(), record.column("tokens"), tags.size(), record.column("tags"));
  for (size_t i = 0; i < tags.size(); ++i) sample.tags.push_back(checked_label(tags[i], fmt::format("{}[{}]", record.column("tags"), i)));
  return sample;
}

}  // namespace graft
