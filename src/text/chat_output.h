#pragma once
// A rendered conversation as text, and where each message's own bytes landed in it.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "graft/text/chat_template.h"
#include "jinja_engine.h"

namespace graft {

struct ChatOutput {
  struct Piece {
    size_t begin, end;
    int origin;
  };
  std::string text;
  std::vector<Piece> pieces;          // what came from the conversation, in order
  std::vector<TextRange> generation;  // what {% generation %} encloses
  explicit ChatOutput(const std::vector<OutputPart>& parts);

  std::vector<TextRange> input() const;
  bool has(int origin) const;
  /// From a message's first byte to behind its last one before later messages; nullopt if there is none.
  std::optional<TextRange> extent(size_t message) const;
  /// Whether the message's content goes on behind bytes of later messages.
  bool is_interrupted(size_t message) const;
  bool has_input(const TextRange& range) const;
  /// Whether bytes of other messages are in the range.
  bool has_others(const TextRange& range, size_t message) const;
};

/// The rendering of the first `messages` messages, or nullopt where the template refuses them.
using RenderPrefix = std::function<std::optional<ChatOutput>(size_t messages, bool add_generation_prompt)>;

/// One range for each assistant message: what a model would have had to write. Throws RequestError naming a message without one.
std::vector<TextRange> assistant_spans(const ChatOutput& whole, const Json& messages, const std::string& eos,
                                       const RenderPrefix& render);

}  // namespace graft
