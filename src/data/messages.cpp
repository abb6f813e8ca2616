// Messages as OpenAI and transformers write them, checked.
#include "graft/core/error.h"
#include "graft/data/formats.h"

namespace graft {

namespace {

void check_content(const Json& message, const std::string& where) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null()) {
    require(message.contains("tool_calls"), "{}.content is {}", where, content == message.end() ? "missing" : "null");
    return;
  }
  if (content->is_string()) return;
  require(content->is_array(), "{}.content: expected text or a list of text parts, got {}", where, content->type_name());
  for (const Json& part : *content)
    require(part.is_object() && part.contains("text") && part["text"].is_string() &&
                (!part.contains("type") || part["type"] == "text"),
            "{}.content: only parts of type 'text' are known, got {}", where, to_line(part).substr(0, 80));
}

bool take_train_flag(Json& message, const std::string& where) {
  const auto flag = message.find("train");
  if (flag == message.end()) return true;
  require(flag->is_boolean(), "{}.train: expected true or false, got {}", where, flag->type_name());
  const bool train = flag->get<bool>();
  require(!train || message["role"] == "assistant",
          "{}.train: only an assistant's message can be trained on alone, this one is of role {}", where,
          to_line(message["role"]));
  message.erase("train");
  return train;
}

// Columnar tools pad absent fields with null; to a template `x is defined` would then be true. Content stays: null says "only
// calls".
void drop_nulls(Json& message) {
  for (auto field = message.begin(); field != message.end();)
    field = field->is_null() && field.key() != "content" ? message.erase(field) : std::next(field);
}

}  // namespace

ChatSample read_messages(const Json& list, std::string_view name) {
  require(list.is_array(), "'{}': expected a list of messages, got {}", name, list.type_name());
  require(!list.empty(), "'{}' is empty", name);
  ChatSample sample;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", name, i);
    Json message = list[i];
    require(message.is_object(), "{}: expected an object, got {}", where, message.type_name());
    drop_nulls(message);
    const auto role = message.find("role");
    require(role != message.end() || !message.contains("from"), "{} has 'from', not 'role': that is format sharegpt", where);
    require(role != message.end(), "{}: no 'role'", where);
    require(role->is_string(), "{}.role: expected text, got {}", where, role->type_name());
    const auto calls = message.find("tool_calls");
    require(calls == message.end() || calls->is_array(), "{}.tool_calls: expected a list", where);
    check_content(message, where);
    sample.train.push_back(take_train_flag(message, where));
    sample.conversation.messages.push_back(std::move(message));
  }
  return sample;
}

std::string message_text(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null()) return "";
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  for (const Json& part : *content) text += part["text"].get<std::string>();
  return text;
}

}  // namespace graft
