#include "graft/data/sample.h"

#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/hash.h"

namespace graft {

namespace {

bool is_assistant(const Json& message) { return message["role"] == "assistant"; }

// Which messages are learnt, and whether all else is too, as `train_on` says.
std::vector<uint8_t> learnt_messages(const ChatSample& sample, const std::string& train_on) {
  const Json& messages = sample.conversation.messages;
  std::vector<uint8_t> learnt(messages.size(), 0);
  for (size_t i = 0; i < messages.size(); ++i)
    learnt[i] = sample.train[i] && is_assistant(messages[i]) && (train_on == "all" || i >= sample.prompt_messages);
  if (train_on != "last") return learnt;
  size_t last = messages.size();
  for (size_t i = sample.prompt_messages; i < messages.size(); ++i)
    if (is_assistant(messages[i])) last = i;
  for (size_t i = 0; i < learnt.size(); ++i) learnt[i] = learnt[i] && i == last;
  return learnt;
}

SampleTokens encode_chat_sample(ChatSample sample, const DataOptions& options, const Tokenizer& tokenizer,
                                const ChatTemplate& chat) {
  fill_system(sample, options);
  const Json& messages = sample.conversation.messages;
  for (size_t i = 0; i < messages.size() && options.train_on == "all"; ++i)
    require(sample.train[i] || is_assistant(messages[i]),
            "message {}: `train: false` on a message of role {} cannot be kept with train_on: all; only assistant messages can "
            "be left out",
            i, to_line(messages[i]["role"]));
  const std::vector<uint8_t> learnt = learnt_messages(sample, options.train_on);
  ChatTokens encoded = encode_conversation(sample.conversation, options, tokenizer, chat, false);
  SampleTokens tokens;
  tokens.ids = std::move(encoded.ids);
  for (const int32_t message : encoded.assistant_message)
    tokens.learn.push_back(message < 0 ? options.train_on == "all" : learnt[static_cast<size_t>(message)]);
  for (size_t i = 0; i < messages.size(); ++i)
    tokens.empty_answers += learnt[i] && message_text(messages[i]).empty() && !messages[i].contains("tool_calls");
  return tokens;
}

SampleTokens encode_text_sample(const TextSample& sample, const DataOptions& options, const Tokenizer& tokenizer) {
  TextTokens encoded = encode_text(sample, options.append_eos, options, tokenizer);
  SampleTokens tokens;
  tokens.ids = std::move(encoded.ids);
  const size_t first = options.train_on == "all" ? 0 : encoded.completion_begins;
  for (size_t i = 0; i < tokens.ids.size(); ++i) tokens.learn.push_back(i >= first);
  tokens.empty_answers = sample.completion->empty();
  return tokens;
}

}  // namespace

ChatTokens encode_conversation(const Conversation& conversation, const DataOptions& options, const Tokenizer& tokenizer,
                               const ChatTemplate& chat, bool add_generation_prompt) {
  const auto content = options.allow_special_tokens_in_content ? ContentTokens::parsed : ContentTokens::literal;
  return encode_chat(tokenizer, chat, conversation, add_generation_prompt, content);
}

void fill_system(ChatSample& sample, const DataOptions& options) {
  Json& messages = sample.conversation.messages;
  const auto is_system = [](const Json& message) { return message["role"] == "system" || message["role"] == "developer"; };
  if (!options.system || std::ranges::any_of(messages, is_system)) return;
  messages.insert(messages.begin(), Json{{"role", "system"}, {"content", *options.system}});
  sample.train.insert(sample.train.begin(), 1);
  sample.prompt_messages += sample.prompt_messages > 0;
}

TextTokens encode_text(const TextSample& sample, bool end, const DataOptions& options, const Tokenizer& tokenizer) {
  const std::string prompt = sample.prompt.value_or("");
  // One text: what the prompt's end and the completion's begin become depends on both.
  const Encoding encoding = tokenizer.encode_with_offsets(
      prompt + sample.completion.value_or(""),
      {.add_special_tokens = true, .parse_special = options.allow_special_tokens_in_content, .literal = {}});
  TextTokens tokens{encoding.ids, 0};
  auto& ids = tokens.ids;
  const auto reaches_completion = [&](const TextRange& at) { return at.end > prompt.size(); };
  tokens.completion_begins =
      static_cast<size_t>(std::ranges::find_if(encoding.offsets, reaches_completion) - encoding.offsets.begin());
  const auto eos = tokenizer.eos();
  while (tokenizer.adds_eos() && !ids.empty() && ids.back() == eos) ids.pop_back();
  tokens.completion_begins = std::min(tokens.completion_begins, ids.size());
  require(!end || eos, "the tokenizer names no EOS token: set data.append_eos=false");
  if (end && (ids.empty() || ids.back() != eos)) ids.push_back(*eos);
  // A text that brings its own BOS (special tokens allowed) gets no second one from the tokenizer.
  if (tokenizer.bos() && ids.size() > 1 && ids[0] == tokenizer.bos() && ids[1] == tokenizer.bos()) {
    ids.erase(ids.begin());
    tokens.completion_begins -= tokens.completion_begins > 0;
  }
  return tokens;
}

SampleTokens encode_sample(Sample sample, const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat, const Task& task) {
  if (const auto* text = std::get_if<LabelledText>(&sample)) return encode_labelled(*text, options, tokenizer, task);
  if (const auto* words = std::get_if<TaggedWords>(&sample)) return encode_labelled(*words, options, tokenizer, task);
  SampleTokens tokens;
  if (auto* conversation = std::get_if<ChatSample>(&sample)) {
    require(chat != nullptr, "a conversation needs a chat template, and the model has none: set model.chat_template");
    tokens = encode_chat_sample(std::move(*conversation), options, tokenizer, *chat);
  } else {
    tokens = encode_text_sample(std::get<TextSample>(sample), options, tokenizer);
  }
  if (!tokens.learn.empty()) tokens.learn[0] = 0;
  return tokens;
}

int64_t target_count(const SampleTokens& tokens) {
  const auto labelled = [](int32_t label) { return label != no_label; };
  return std::ranges::count(tokens.learn, 1) + std::ranges::count_if(tokens.labels, labelled);
}

void truncate(SampleTokens& tokens, size_t length) {
  if (tokens.ids.size() <= length) return;
  tokens.ids.resize(length);
  tokens.learn.resize(length);
}

uint64_t sample_hash(const Sample& sample) {
  Hash hash;
  if (const auto* chat = std::get_if<ChatSample>(&sample)) {
    hash.add(to_line(chat->conversation.messages)).add(to_line(chat->conversation.tools));
  } else if (const auto* labelled = std::get_if<LabelledText>(&sample)) {
    hash.add(labelled->text).add(uint64_t{labelled->text.size()}).add(labelled->pair.value_or(""));
  } else if (const auto* tagged = std::get_if<TaggedWords>(&sample)) {
    for (const auto& word : tagged->words) hash.add(word).add(uint64_t{word.size()});
  } else {
    const auto& text = std::get<TextSample>(sample);
    hash.add(text.prompt.value_or("")).add(uint64_t{text.prompt.value_or("").size()}).add(text.completion.value_or(""));
  }
  return hash.value();
}

}  // namespace graft
