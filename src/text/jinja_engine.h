#pragma once
// A parsed Jinja template and its output in parts that know where they came from. Free of the engine's headers.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"

namespace graft {

enum class MessageField { content, reasoning, tool_calls, other };

/// Where a part of the output came from: the template (0), the tools, a message's field, or it is a mark of {% generation %}.
struct Origin {
  static constexpr int generation_begins = -1, generation_ends = -2, from_template = 0, tools = 1;
  static int of(size_t message, MessageField field) { return 4 + 4 * static_cast<int>(message) + static_cast<int>(field); }
  static int message_of(int origin) { return origin < 4 ? -1 : origin / 4 - 1; }
  static MessageField field_of(int origin) { return static_cast<MessageField>(origin % 4); }
};

struct OutputPart {
  std::string text;
  int origin = 0;
};

class JinjaTemplate {
 public:
  /// Throws RequestError: too long, nested too deeply, or not Jinja.
  explicit JinjaTemplate(const std::string& source);
  JinjaTemplate(JinjaTemplate&&) noexcept;
  JinjaTemplate& operator=(JinjaTemplate&&) noexcept;
  ~JinjaTemplate();

  struct Input {
    const Json& messages;
    const Json& tools;
    const std::string& bos;
    const std::string& eos;
    bool add_generation_prompt;
  };
  /// Throws RequestError with the template's own message, or the limit that it broke. Safe to call from several threads.
  std::vector<OutputPart> render(const Input& input) const;
  /// Whether `name` is an identifier or a string literal of the template.
  bool mentions(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
