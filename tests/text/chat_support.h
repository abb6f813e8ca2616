#pragma once
// What the chat template tests share.
#include <gtest/gtest.h>

#include <functional>

#include "graft/core/error.h"
#include "graft/text/chat_template.h"

namespace graft::chat_tests {

using Strings = std::vector<std::string>;

inline const std::string chatml = chat_template_source("chatml", "");

inline Json message(const char* role, const char* content) { return {{"role", role}, {"content", content}}; }

inline ChatTemplate made(const std::string& source) { return ChatTemplate(source, "<s>", "</s>"); }

inline Conversation said(const std::string& content) { return {Json::array({message("user", content.c_str())}), nullptr}; }

inline std::string rendered(const std::string& source, const Conversation& conversation = said("Hi")) {
  return made(source).text(conversation);
}

inline Strings slices(const std::string& text, const std::vector<TextRange>& ranges) {
  Strings out;
  for (const TextRange& at : ranges) out.push_back(text.substr(at.begin, at.end - at.begin));
  return out;
}

inline Strings answers(const std::string& source, const Json& messages, bool prompt = false) {
  const Rendered out = made(source).render({messages, nullptr}, prompt);
  return slices(out.text, out.assistant);
}

/// What the user's text became, where each is protected from being parsed.
inline Strings protected_parts(const std::string& source, const std::string& content) {
  const Rendered out = made(source).render(said(content));
  return slices(out.text, out.input);
}

inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const RequestError& e) {
    return e.what();
  }
  return "";
}

inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << text << "' lacks '" << part << "'";
}

}  // namespace graft::chat_tests
