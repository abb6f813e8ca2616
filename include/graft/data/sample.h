#pragma once
// A sample as token ids and which of them are learnt: the rules of BOS, EOS, `train_on`, truncation.
#include <cstdint>
#include <string>
#include <vector>

#include "graft/data/dataset.h"
#include "graft/data/formats.h"

namespace graft {

struct SampleTokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> learn;  // the first is never learnt: nothing predicts it
  int64_t empty_answers = 0;   // learnt assistant turns (or completions) without text: they train their end token alone
  // Of labelled samples, where `learn` is empty:
  std::vector<int32_t> labels;
  std::vector<uint8_t> types;
  bool truncated = false;      // to data.max_length already: it takes more than cutting off the end
};

/// Fills in the system message, renders and tokenises. A conversation needs `chat`; labels are the task's.
SampleTokens encode_sample(Sample sample, const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat, const Task& task);

/// A labelled sample's (labelled.cpp). Longer ones than data.max_length lose tokens of the longer text if data.overlong is `truncate`.
SampleTokens encode_labelled(const LabelledText& sample, const DataOptions& options, const Tokenizer& tokenizer, const Task& task);
/// A word's first token carries its label.
SampleTokens encode_labelled(const TaggedWords& sample, const DataOptions& options, const Tokenizer& tokenizer, const Task& task);

/// How many of its tokens are targets, or labelled.
int64_t target_count(const SampleTokens& tokens);

/// Cuts to `length`. The end that was cut off takes its end token along: a text that did not end has no EOS.
void truncate(SampleTokens& tokens, size_t length);

/// encode_chat as data.allow_special_tokens_in_content says.
ChatTokens encode_conversation(const Conversation& conversation, const DataOptions& options, const Tokenizer& tokenizer,
                               const ChatTemplate& chat, bool add_generation_prompt);

/// A text's ids with one BOS where the tokenizer adds one, and one EOS behind if `end`. `completion_begins`: index of the first
/// token that reaches into the completion.
struct TextTokens {
  std::vector<int32_t> ids;
  size_t completion_begins = 0;
};
TextTokens encode_text(const TextSample& sample, bool end, const DataOptions& options, const Tokenizer& tokenizer);

/// Adds data.system to a conversation that has no system message.
void fill_system(ChatSample& sample, const DataOptions& options);

/// Of what the sample says, before data.system: decides held-out samples, so it must not move when others are added.
uint64_t sample_hash(const Sample& sample);

}  // namespace graft
