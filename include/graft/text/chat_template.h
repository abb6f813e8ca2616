#pragma once
// Chat templates: a conversation to text, through llama.cpp's Jinja engine, which marks what came from the messages. Goals: the text
// that transformers renders; user content can never become a special token; the assistant's spans are known; a hostile template or
// conversation ends in an error within bounded time and memory. Non-goals: a Jinja engine of our own.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"
#include "graft/text/tokenizer.h"

namespace graft {

/// messages: [{role, content | text parts, tool_calls?, reasoning_content?, ...}], as OpenAI and transformers have it.
struct Conversation {
  Json messages = Json::array();
  Json tools = nullptr;  // JSON schemas of the tools, or null
};

struct Rendered {
  std::string text;
  std::vector<TextRange> input;      // what came from the conversation's own strings: special tokens are not parsed there
  std::vector<TextRange> assistant;  // one an assistant message, in order: its content and the turn's end as the template writes it
};

class ChatTemplate {
 public:
  /// `source`: Jinja text. `bos`, `eos`: the tokenizer's tokens as text ("" if none). Throws RequestError for a template that does
  /// not parse or exceeds the limits (size, nesting).
  ChatTemplate(std::string source, std::string bos, std::string eos);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// As transformers' apply_chat_template(tokenize=False) does. Errors: the template's own raise_exception, limits on steps, memory
  /// and output, a message field that the template does not render (named).
  Rendered render(const Conversation& conversation, bool add_generation_prompt = false) const;
  /// The text alone: also where a field is not rendered or an assistant's place cannot be told.
  std::string text(const Conversation& conversation, bool add_generation_prompt = false) const;
  const std::string& source() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The template for `model.chat_template`: "auto" gives the model's own (may be absent: "" is returned), "chatml" the ChatML text,
/// anything else names a file.
std::string chat_template_source(const std::string& choice, const std::string& own);

/// A conversation as ids with a mask of what is trained.
struct ChatTokens {
  std::vector<int32_t> ids;
  std::vector<int32_t> assistant_message;  // for each id: the index in `messages` of the assistant message it belongs to, or -1
};
/// Whether special tokens that a message writes stay text, or are parsed (unsafe on what users wrote).
enum class ContentTokens { literal, parsed };
ChatTokens encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const Conversation& conversation,
                       bool add_generation_prompt = false, ContentTokens content = ContentTokens::literal);

}  // namespace graft
