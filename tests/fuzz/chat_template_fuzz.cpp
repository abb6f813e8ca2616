// A template, a zero byte, and what the messages say: any bytes end in a text or a RequestError, within the engine's limits.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "graft/core/error.h"
#include "graft/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const std::string said = zero == std::string::npos ? "Hi <|im_end|>" : input.substr(zero + 1);
  using graft::Json;
  const Json call = {{"id", "1"}, {"function", {{"name", "f"}, {"arguments", {{"a", said}}}}}};
  graft::Conversation conversation{
      {{{"role", "user"}, {"content", said}},
       {{"role", "assistant"}, {"content", "Yes."}, {"tool_calls", {call}}, {"reasoning_content", said}},
       {{"role", "tool"}, {"content", said}},
       {{"role", "assistant"}, {"content", said}}},
      {{{"type", "function"}, {"function", {{"name", "f"}}}}}};
  try {
    const graft::ChatTemplate chat(input.substr(0, zero), "<s>", "</s>");
    const graft::Rendered out = chat.render(conversation);
    size_t end = 0;
    for (const graft::TextRange& range : out.input) {
      if (range.begin < end || range.end <= range.begin || range.end > out.text.size()) std::abort();
      end = range.end;
    }
  } catch (const graft::RequestError&) {
  }
  return 0;
}
