#pragma once
// A conversation with a model: what was said so far, who answers, and the commands that change either. The terminal is the
// program's.
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "generate.h"

namespace graft {

class Chat {
 public:
  /// RequestError: a model that does not write text, or has no chat template.
  Chat(Speaker speaker, const GenerateOptions& options, std::string system, Log log = {});
  /// Does what a line that begins with '/' says; returns what to show. RequestErrors leave everything as it was.
  std::string command(const std::string& line);
  /// Answers, piece by piece. If `stop` comes first, what was said until then stays in the conversation; returns false.
  bool say(const std::string& text, const std::function<void(const std::string&)>& on_text, std::stop_token stop);
  /// System message, user's and assistant's turns, as the template gets them.
  const Json& messages() const { return messages_; }
  /// Who answers: an adapter's name, "" for the base alone.
  const std::string& adapter() const { return speaker_.adapter; }

 private:
  std::string switch_adapter(const std::string& name);
  std::string list_adapters() const;
  void reset();

  Speaker speaker_;
  GenerateOptions options_;
  std::string system_;
  Log log_;
  Json messages_;
  std::vector<std::string> adapters_;
};

}  // namespace graft
