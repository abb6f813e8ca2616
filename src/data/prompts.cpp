// Prompts with the answers that belong to them, for generating and scoring.
#include <algorithm>
#include <iterator>

#include "faults.h"
#include "graft/data/labels.h"
#include "graft/data/sample.h"
#include "pass.h"
#include "stream.h"

namespace graft {

namespace {

struct PromptChunk {
  std::vector<PromptSample> prompts;
  std::vector<std::string> faults;
};

PromptSample text_prompt(TextSample sample, const DataOptions& options, const Tokenizer& tokenizer) {
  // A `text` sample is all prompt: what follows it is asked for.
  if (!sample.prompt) std::swap(sample.prompt, sample.completion);
  const bool answered = sample.completion.has_value();
  const TextTokens tokens = encode_text(sample, answered && options.append_eos, options, tokenizer);
  const auto boundary = tokens.ids.begin() + static_cast<std::ptrdiff_t>(tokens.completion_begins);
  return {{tokens.ids.begin(), boundary}, sample.completion.value_or(""), {boundary, tokens.ids.end()}, ""};
}

PromptSample chat_prompt(ChatSample sample, const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat) {
  require(chat != nullptr, "a conversation needs a chat template, and the model has none: set model.chat_template");
  fill_system(sample, options);
  Json& messages = sample.conversation.messages;
  PromptSample prompt;
  if (messages.back()["role"] == "assistant") {
    const ChatTokens all = encode_conversation(sample.conversation, options, tokenizer, *chat, false);
    const auto last = static_cast<int32_t>(messages.size() - 1);
    for (size_t i = 0; i < all.ids.size(); ++i)
      if (all.assistant_message[i] == last) prompt.reference_ids.push_back(all.ids[i]);
    prompt.reference = message_text(messages.back());
    messages.erase(messages.size() - 1);
  }
  require(!messages.empty(), "nothing comes before the assistant's message");
  prompt.prompt = encode_conversation(sample.conversation, options, tokenizer, *chat, true).ids;
  return prompt;
}

/// A classifier's text; what the label is called where the file says it.
PromptSample labelled_prompt(const Sample& sample, const DataOptions& options, const Tokenizer& tokenizer, const Task& task) {
  SampleTokens tokens = encode_sample(sample, options, tokenizer, nullptr, task);
  require(tokens.ids.size() <= static_cast<size_t>(options.max_length), "{} tokens, more than data.max_length {}", tokens.ids.size(), options.max_length);
  PromptSample prompt{.prompt = std::move(tokens.ids), .types = std::move(tokens.types), .labels = std::move(tokens.labels)};
  if (const auto* text = std::get_if<LabelledText>(&sample)) prompt.reference = text->label.is_null() ? "" : label_name(text->label);
  if (const auto* words = std::get_if<TaggedWords>(&sample))
    for (const Json& tag : words->tags) prompt.reference += (prompt.reference.empty() ? "" : " ") + label_name(tag);
  return prompt;
}

PromptSample to_prompt(Sample sample, const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat, const Task& task) {
  if (task.kind != TaskKind::causal_lm) return labelled_prompt(sample, options, tokenizer, task);
  if (auto* text = std::get_if<TextSample>(&sample)) return text_prompt(std::move(*text), options, tokenizer);
  return chat_prompt(std::move(std::get<ChatSample>(sample)), options, tokenizer, chat);
}

/// What the record says beside its format's fields. Looked for only where its text has the word: few files do.
std::string adapter_of(const Record& record, const std::filesystem::path& file) {
  if (record.text.find("\"adapter\"") == std::string::npos) return "";
  const Json json = parse_record(record, file);
  const auto field = json.find("adapter");
  return field != json.end() && field->is_string() ? field->get<std::string>() : "";
}

}  // namespace

std::vector<PromptSample> read_prompts(const std::vector<DataSource>& sources, const DataOptions& options,
                                       const Tokenizer& tokenizer, const ChatTemplate* chat, const Task& task) {
  ErrorList errors;
  const auto inputs = open_sources(sources, Answer::optional, errors, &task.kind);
  errors.raise("the data cannot be used:");
  SourceStream stream(inputs);
  std::vector<PromptSample> prompts;
  OrderedPass<RecordChunk, PromptChunk> pass;
  pass.read = [&](RecordChunk& chunk) { return stream.next(chunk); };
  pass.work = [&](const RecordChunk& chunk) {
    PromptChunk result;
    if (!chunk.fault.empty()) result.faults.push_back(chunk.fault);
    const SourceInput& source = inputs[chunk.source];
    for (const Record& record : chunk.records) {
      try {
        Sample sample = read_sample(record, source, chunk.file, Answer::optional);
        const auto& file = source.files[chunk.file];
        result.prompts.push_back(in_place(file, record, [&] { return to_prompt(std::move(sample), options, tokenizer, chat, task); }));
        result.prompts.back().adapter = adapter_of(record, file);
        result.prompts.back().origin = fmt::format("{}:{}", file.string(), record.line);
      } catch (const Error& e) {
        result.faults.emplace_back(e.what());
      }
    }
    return result;
  };
  FaultList faults;
  pass.write = [&](PromptChunk&& chunk) {
    for (const auto& fault : chunk.faults) faults.add(fault);
    std::ranges::move(chunk.prompts, std::back_inserter(prompts));
  };
  pass.run({});
  faults.raise();
  return prompts;
}

}  // namespace graft
