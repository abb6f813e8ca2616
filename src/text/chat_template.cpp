#include "graft/text/chat_template.h"

#include <algorithm>

#include "chat_output.h"
#include "graft/core/error.h"
#include "jinja_engine.h"

namespace graft {
namespace {

constexpr const char* chatml =
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{%- "
    "endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
constexpr const char* reasoning_names[] = {"reasoning_content", "thinking", "reasoning"};

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

bool has_text(const Json& j) {
  if (j.is_string()) return !is_blank(j.get_ref<const std::string&>());
  return j.is_structured() && std::ranges::any_of(j, has_text);
}

std::string joined_parts(const Json& parts, size_t message) {
  std::string out;
  for (const Json& part : parts) {
    const bool text =
        part.is_object() && part.value("type", "text") == "text" && part.contains("text") && part["text"].is_string();
    require(text, "message {}: its content has a part that is no text ({})", message, to_line(part).substr(0, 80));
    out += part["text"].get_ref<const std::string&>();
  }
  return out;
}

/// As transformers does: no null fields, and reasoning under each name that templates read.
Json normalized(const Json& message, size_t index, bool handles_parts) {
  require(message.is_object(), "message {}: expected an object, got {}", index, message.type_name());
  require(message.contains("role") && message["role"].is_string(), "message {}: expected a role", index);
  Json out = Json::object();
  const Json* reasoning = nullptr;
  for (const char* name : reasoning_names)
    if (!reasoning && message.contains(name) && !message[name].is_null()) reasoning = &message[name];
  if (reasoning) out["thinking"] = *reasoning;
  for (const auto& [key, field] : message.items())
    if (!field.is_null()) out[key] = field;
  if (reasoning) out["reasoning_content"] = *reasoning;
  if (!out.contains("content")) return out;
  const Json& content = out["content"];
  require(content.is_string() || content.is_array(), "message {}: expected content to be a string or text parts, got {}", index,
          content.type_name());
  if (content.is_array() && !handles_parts) out["content"] = joined_parts(content, index);
  return out;
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source, bos, eos;
  JinjaTemplate jinja;

  ChatOutput render(const Json& messages, const Json& tools, bool add_generation_prompt) const {
    return ChatOutput(jinja.render({messages, tools, bos, eos, add_generation_prompt}));
  }

  Json normalized_messages(const Json& messages) const {
    require(messages.is_array(), "expected a list of messages, got {}", messages.type_name());
    const bool handles_parts = jinja.mentions("text");
    Json out = Json::array();
    for (size_t i = 0; i < messages.size(); ++i) out.push_back(normalized(messages[i], i, handles_parts));
    return out;
  }

  /// What the conversation says must be in the text. Reasoning may be left out by a template that knows of it.
  void require_all_rendered(const ChatOutput& output, const Json& messages, const Json& tools) const {
    const auto require_field = [&](const Json& message, size_t i, const char* key, MessageField field) {
      require(!message.contains(key) || !has_text(message[key]) || output.has(Origin::of(i, field)),
              "message {} ({}): the chat template does not render its '{}'", i, message["role"].get<std::string>(), key);
    };
    require(!has_text(tools) || output.has(Origin::tools), "the chat template does not render 'tools'");
    const bool knows_reasoning = std::ranges::any_of(reasoning_names, [&](const char* name) { return jinja.mentions(name); });
    for (size_t i = 0; i < messages.size(); ++i) {
      require_field(messages[i], i, "content", MessageField::content);
      require_field(messages[i], i, "tool_calls", MessageField::tool_calls);
      if (!knows_reasoning) require_field(messages[i], i, "reasoning_content", MessageField::reasoning);
    }
  }
};

ChatTemplate::ChatTemplate(std::string source, std::string bos, std::string eos)
    : impl_(std::make_unique<Impl>(Impl{source, std::move(bos), std::move(eos), JinjaTemplate(source)})) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::source() const { return impl_->source; }

std::string ChatTemplate::text(const Conversation& conversation, bool add_generation_prompt) const {
  return impl_->render(impl_->normalized_messages(conversation.messages), conversation.tools, add_generation_prompt).text;
}

Rendered ChatTemplate::render(const Conversation& conversation, bool add_generation_prompt) const {
  const Json messages = impl_->normalized_messages(conversation.messages);
  const ChatOutput whole = impl_->render(messages, conversation.tools, add_generation_prompt);
  impl_->require_all_rendered(whole, messages, conversation.tools);
  const RenderPrefix prefix = [&](size_t count, bool prompt) -> std::optional<ChatOutput> {
    if (count == messages.size() && prompt == add_generation_prompt) return whole;
    const Json part(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
    try {
      return impl_->render(part, conversation.tools, prompt);
    } catch (const RequestError&) {  // many templates refuse half a conversation: the spans are then found otherwise
      return std::nullopt;
    }
  };
  std::vector<TextRange> spans = assistant_spans(whole, messages, impl_->eos, prefix);
  return {whole.text, whole.input(), std::move(spans)};
}

std::string chat_template_source(const std::string& choice, const std::string& own) {
  if (choice == "auto") return own;
  return choice == "chatml" ? chatml : read_text(choice, size_t{1} << 20);
}

}  // namespace graft
