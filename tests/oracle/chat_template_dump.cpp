// Renders JSON lines {template, messages, tools, add_generation_prompt, bos, eos} from standard input. A line of output each:
// {text, assistant: [[begin, end] ...], input: [[begin, end] ...]}, with `refused` in place of the ranges, or {error}.
#include <iostream>
#include <map>

#include "graft/core/error.h"
#include "graft/text/chat_template.h"

using namespace graft;

namespace {

Json ranges(const std::vector<TextRange>& all) {
  Json out = Json::array();
  for (const TextRange& range : all) out.push_back({range.begin, range.end});
  return out;
}

Json answer(const Json& request, std::map<std::string, ChatTemplate>& templates) {
  const Conversation conversation{request.at("messages"), request.at("tools")};
  const bool prompt = request.at("add_generation_prompt");
  Json out;
  try {
    const std::string source = request.at("template"), bos = request.at("bos"), eos = request.at("eos");
    auto known = templates.find(source + '\0' + bos + '\0' + eos);
    if (known == templates.end())
      known = templates.emplace(source + '\0' + bos + '\0' + eos, ChatTemplate(source, bos, eos)).first;
    out["text"] = known->second.text(conversation, prompt);
    try {
      const Rendered rendered = known->second.render(conversation, prompt);
      out["assistant"] = ranges(rendered.assistant);
      out["input"] = ranges(rendered.input);
    } catch (const Error& e) {
      out["refused"] = e.what();
    }
  } catch (const Error& e) {
    out["error"] = e.what();
  }
  return out;
}

}  // namespace

int main() {
  std::map<std::string, ChatTemplate> templates;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << to_line(answer(parse_json(line, "request"), templates)) << "\n";
}
