#include "graft/text/chat_template.h"

namespace graft {
namespace {

std::vector<int32_t> assistant_messages(const Json& messages) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < messages.size(); ++i)
    if (messages[i]["role"] == "assistant") out.push_back(static_cast<int32_t>(i));
  return out;
}

}  // namespace

ChatTokens encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const Conversation& conversation,
                       bool add_generation_prompt, ContentTokens content) {
  Rendered rendered = chat.render(conversation, add_generation_prompt);
  if (content == ContentTokens::parsed) rendered.input.clear();
  const Encoding encoding = tokenizer.encode_with_offsets(rendered.text, {.literal = rendered.input});
  const std::vector<int32_t> messages = assistant_messages(conversation.messages);
  ChatTokens out;
  // Templates write the BOS themselves, or leave it to a tokenizer that adds one.
  const bool adds_bos =
      tokenizer.adds_bos() && tokenizer.bos() && (encoding.ids.empty() || encoding.ids.front() != *tokenizer.bos());
  if (adds_bos) out.ids.push_back(*tokenizer.bos()), out.assistant_message.push_back(-1);
  size_t span = 0;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextRange at = encoding.offsets[i];
    while (span < rendered.assistant.size() && rendered.assistant[span].end <= at.begin) ++span;
    const bool inside = span < rendered.assistant.size() && at.end > rendered.assistant[span].begin;
    out.ids.push_back(encoding.ids[i]);
    out.assistant_message.push_back(inside ? messages.at(span) : -1);
  }
  return out;
}

}  // namespace graft
