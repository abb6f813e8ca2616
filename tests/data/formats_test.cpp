#include "graft/data/formats.h"

#include "data/support.h"

namespace graft::test {

namespace {

const std::map<std::string, std::string> no_columns;

std::string detected(const char* record, Answer answer = Answer::needed) {
  const std::vector<Json> records{Json::parse(record)};
  try {
    return std::string(detect_format(records, no_columns, answer).name);
  } catch (const RequestError& e) {
    return e.what();
  }
}

Sample read(const char* record, std::string_view format, Answer answer = Answer::needed) {
  const Json json = Json::parse(record);
  for (const DataFormat* row : data_formats())
    if (row->name == format) return row->read(Fields(json, no_columns, answer));
  throw Error("no such format");
}

std::string messages_of(const char* record, std::string_view format) {
  return std::get<ChatSample>(read(record, format)).conversation.messages.dump();
}

std::string fault_of(const char* record, std::string_view format) {
  try {
    read(record, format);
  } catch (const Error& e) {
    return e.what();
  }
  return "no fault";
}

}  // namespace

TEST(Formats, AreToldByTheirFields) {
  EXPECT_EQ(detected(R"({"messages": []})"), "messages");
  EXPECT_EQ(detected(R"({"id": 7, "conversations": []})"), "sharegpt");
  EXPECT_EQ(detected(R"({"instruction": "", "output": null})"), "alpaca");
  EXPECT_EQ(detected(R"({"prompt": "", "completion": ""})"), "prompt_completion");
  EXPECT_EQ(detected(R"({"text": ""})"), "text");
  EXPECT_EQ(detected(R"({"prompt": ""})", Answer::optional), "prompt_completion");
}

TEST(Formats, AnAmbiguousRecordNamesItsCandidatesAndTheKey) {
  const std::string fault = detected(R"({"instruction": "a", "output": "b", "text": "c"})");
  EXPECT_NE(fault.find("alpaca or text"), std::string::npos) << fault;
  EXPECT_NE(fault.find("`format:`"), std::string::npos) << fault;
}

TEST(Formats, AnUnknownRecordNamesItsFieldsAndTheFormats) {
  const std::string fault = detected(R"({"question": "a", "answer": "b"})");
  for (const char* word : {"question, answer", "prompt_completion (prompt, completion)", "columns"})
    EXPECT_NE(fault.find(word), std::string::npos) << fault;
}

TEST(Formats, ColumnsMapNamesAndSettleTheFormat) {
  const std::vector<Json> records{Json::parse(R"({"question": "a", "answer": "b", "text": "c"})")};
  const std::map<std::string, std::string> columns{{"prompt", "question"}, {"completion", "answer"}};
  const DataFormat& format = detect_format(records, columns, Answer::needed);
  EXPECT_EQ(format.name, "prompt_completion");
  EXPECT_EQ(*std::get<TextSample>(format.read(Fields(records[0], columns))).prompt, "a");
  EXPECT_THROW(check_columns(&format, {{"promt", "question"}}), RequestError);
}

TEST(Formats, SharegptRolesAreMapped) {
  EXPECT_EQ(messages_of(R"({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "h"},
                            {"from": "gpt", "value": "g"}, {"from": "observation", "value": "o"},
                            {"from": "model", "value": "m"}]})",
                        "sharegpt"),
            R"([{"role":"system","content":"s"},{"role":"user","content":"h"},{"role":"assistant","content":"g"},)"
            R"({"role":"tool","content":"o"},{"role":"assistant","content":"m"}])");
  EXPECT_EQ(
      messages_of(
          R"({"system": "s", "conversations": [{"from": "function_call",
              "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}]})",
          "sharegpt"),
      R"([{"role":"system","content":"s"},{"role":"assistant","content":"",)"
      R"("tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]}])");
  EXPECT_NE(fault_of(R"({"conversations": [{"from": "alien", "value": ""}]})", "sharegpt").find("'alien'"), std::string::npos);
}

TEST(Formats, AlpacaIsStanfordsPrompt) {
  const std::string with = messages_of(R"({"instruction": "Add.", "input": "1 2", "output": "3"})", "alpaca");
  EXPECT_NE(with.find(R"(### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"})"), std::string::npos) << with;
  const std::string without = messages_of(R"({"instruction": "Go.", "input": "", "output": "3"})", "alpaca");
  EXPECT_NE(without.find(R"(the request.\n\n### Instruction:\nGo.\n\n### Response:"})"), std::string::npos) << without;
  EXPECT_EQ(without.find("Input"), std::string::npos);
}

TEST(Formats, MessagesKeepToolsCallsReasoningAndParts) {
  const auto sample = std::get<ChatSample>(read(
      R"({"tools": "[{\"name\": \"f\"}]", "messages": [
          {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": null},
          {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [{"function": {"name": "f"}}],
           "train": false},
          {"role": "tool", "content": "t"}]})",
      "messages"));
  EXPECT_EQ(sample.conversation.tools.dump(), R"([{"name":"f"}])");
  EXPECT_EQ(sample.conversation.messages[0].dump(),
            R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})");
  EXPECT_EQ(message_text(sample.conversation.messages[0]), "ab");
  EXPECT_EQ(sample.conversation.messages[1].dump(),
            R"({"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"function":{"name":"f"}}]})");
  EXPECT_EQ(sample.train, (std::vector<uint8_t>{1, 0, 1}));
}

TEST(Formats, WrongTypesAreNamed) {
  const auto names = [](const std::string& fault, const char* word) { EXPECT_NE(fault.find(word), std::string::npos) << fault; };
  names(fault_of(R"({"messages": null})", "messages"), "'messages' is null");
  names(fault_of(R"({"messages": "hi"})", "messages"), "expected a list of messages, got string");
  names(fault_of(R"({"messages": []})", "messages"), "empty");
  names(fault_of(R"({"messages": [{"role": "user", "content": 3}]})", "messages"), "messages[0].content: expected text");
  names(fault_of(R"({"messages": [{"role": "user"}]})", "messages"), "messages[0].content is missing");
  names(fault_of(R"({"messages": [{"role": "user", "content": null}]})", "messages"), "messages[0].content is null");
  names(fault_of(R"({"messages": [{"role": 1, "content": ""}]})", "messages"), "messages[0].role");
  names(fault_of(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", "messages"), "image_url");
  names(fault_of(R"({"messages": [{"role": "user", "content": [{"type": 3, "text": "a"}]}]})", "messages"),
        "parts of type 'text'");
  names(fault_of(R"({"messages": [{"from": "human", "value": ""}]})", "messages"), "sharegpt");
  names(fault_of(R"({"messages": [{"role": "user", "content": "", "train": true}]})", "messages"), "messages[0].train");
  names(fault_of(R"({"instruction": "a", "output": null})", "alpaca"), "'output' is null");
  names(fault_of(R"({"prompt": [{"role": "user", "content": ""}], "completion": "x"})", "prompt_completion"), "'completion'");
  names(fault_of(R"({"text": 1.5})", "text"), "'text': expected text, got number");
}

}  // namespace graft::test
