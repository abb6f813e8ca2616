#include "layouts.h"

#include "graft/core/error.h"

namespace graft {

namespace {

// A list of tool schemas; many files hold it as a string of JSON, because columnar storage cannot hold differing schemas.
Json read_tools(const Fields& record) {
  const Json* tools = record.find("tools");
  if (tools == nullptr || tools->is_null()) return nullptr;
  Json list = *tools;
  if (list.is_string()) {
    const auto text = list.get<std::string>();
    if (text.empty()) return nullptr;
    list = parse_json(text, record.column("tools"));
  }
  require(list.is_array(), "'{}': expected a list of tools, got {}", record.column("tools"), list.type_name());
  return list.empty() ? Json(nullptr) : list;
}

// sharegpt's `from`, by graft's role.
std::string_view role_of(std::string_view from) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "model" || from == "function_call") return "assistant";
  if (from == "system") return "system";
  if (from == "tool" || from == "observation") return "tool";
  refuse("from '{}' is no known role; known: human, user, gpt, assistant, model, system, tool, observation, function_call", from);
}

// The value of a function_call turn is the JSON of one call or of a list of calls.
Json tool_calls(const std::string& value) {
  Json calls = parse_json(value, "the value of a function_call");
  if (!calls.is_array()) calls = Json::array({calls});
  Json result = Json::array();
  for (const Json& call : calls) {
    require(call.is_object() && call.contains("name") && call["name"].is_string(),
            "the value of a function_call: expected {{\"name\": ..., \"arguments\": ...}}");
    const Json arguments = call.contains("arguments") ? call["arguments"] : Json::object();
    result.push_back({{"type", "function"}, {"function", {{"name", call["name"]}, {"arguments", arguments}}}});
  }
  return result;
}

Json sharegpt_message(const Json& turn, const std::string& where) {
  require(turn.is_object(), "{}: expected an object, got {}", where, turn.type_name());
  const bool has_both = turn.contains("from") && turn.contains("value");
  require(has_both || !turn.contains("role"), "{} has 'role', not 'from' and 'value': that is format messages", where);
  require(has_both, "{}: expected 'from' and 'value'", where);
  require(turn["from"].is_string(), "{}.from: expected text, got {}", where, turn["from"].type_name());
  require(turn["value"].is_string(), "{}.value: expected text, got {}", where, turn["value"].type_name());
  const auto from = turn["from"].get<std::string>();
  const auto value = turn["value"].get<std::string>();
  Json message{{"role", role_of(from)}};
  if (from == "function_call") {
    message["content"] = "";
    message["tool_calls"] = tool_calls(value);
  } else {
    message["content"] = value;
  }
  if (turn.contains("train")) message["train"] = turn["train"];
  return message;
}

}  // namespace

Sample read_messages_record(const Fields& record) {
  ChatSample sample = read_messages(record.at("messages"), record.column("messages"));
  sample.conversation.tools = read_tools(record);
  return sample;
}

Sample read_sharegpt_record(const Fields& record) {
  const Json& turns = record.at("conversations");
  const std::string name = record.column("conversations");
  require(turns.is_array(), "'{}': expected a list of turns, got {}", name, turns.type_name());
  Json messages = Json::array();
  const Json* system = record.find("system");
  if (system != nullptr && !system->is_null() && record.text("system") != "")
    messages.push_back({{"role", "system"}, {"content", *system}});
  for (size_t i = 0; i < turns.size(); ++i) messages.push_back(sharegpt_message(turns[i], fmt::format("{}[{}]", name, i)));
  ChatSample sample = read_messages(messages, name);
  sample.conversation.tools = read_tools(record);
  return sample;
}

// Stanford Alpaca's own two prompts, as the user's message.
Sample read_alpaca_record(const Fields& record) {
  const std::string instruction = record.text("instruction");
  const Json* field = record.find("input");
  const std::string input = field == nullptr || field->is_null() ? "" : record.text("input");
  const std::string prompt =
      input.empty() ? fmt::format(
                          "Below is an instruction that describes a task. Write a response that appropriately completes the "
                          "request.\n\n### Instruction:\n{}\n\n### Response:",
                          instruction)
                    : fmt::format(
                          "Below is an instruction that describes a task, paired with an input that provides further context. "
                          "Write a response that appropriately completes the request.\n\n### Instruction:\n{}\n\n"
                          "### Input:\n{}\n\n### Response:",
                          instruction, input);
  Json messages = Json::array({{{"role", "user"}, {"content", prompt}}});
  if (record.find("output") != nullptr || record.answer() == Answer::needed)
    messages.push_back({{"role", "assistant"}, {"content", record.text("output")}});
  return read_messages(messages, "alpaca");
}

Sample read_prompt_completion_record(const Fields& record) {
  const Json& prompt = record.at("prompt");
  const bool answered = record.find("completion") != nullptr || record.answer() == Answer::needed;
  if (prompt.is_string()) {
    TextSample sample{prompt.get<std::string>(), std::nullopt};
    if (answered) sample.completion = record.text("completion");
    return sample;
  }
  ChatSample sample = read_messages(prompt, record.column("prompt"));
  sample.prompt_messages = sample.train.size();
  if (answered) {
    ChatSample completion = read_messages(record.at("completion"), record.column("completion"));
    for (Json& message : completion.conversation.messages) sample.conversation.messages.push_back(std::move(message));
    sample.train.insert(sample.train.end(), completion.train.begin(), completion.train.end());
  }
  sample.conversation.tools = read_tools(record);
  return sample;
}

Sample read_text_record(const Fields& record) { return TextSample{std::nullopt, record.text("text")}; }

}  // namespace graft
