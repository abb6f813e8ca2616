#include "chat.h"

#include <algorithm>

#include "graft/core/error.h"
#include "graft/peft/adapter_file.h"

namespace graft {
namespace {

constexpr const char* help =
    "/adapter             who answers, and who else could\n"
    "/adapter NAME        another one of them; none: the base alone\n"
    "/adapter FOLDER      one from a PEFT or AdapterHub folder, or a run's\n"
    "/system TEXT         another system message, and a new conversation; without a text: none\n"
    "/reset               a new conversation\n"
    "/help                this\n"
    "Ctrl-C stops an answer, Ctrl-D ends.\n";

}  // namespace

Chat::Chat(Speaker speaker, const GenerateOptions& options, std::string system, Log log)
    : speaker_(std::move(speaker)), options_(options), system_(std::move(system)), log_(std::move(log)) {
  require(speaker_.model->task().kind == TaskKind::causal_lm && speaker_.model->vocabulary_head(), "{} generates no text",
          speaker_.base.files->where());
  require(speaker_.base.chat.has_value(),
          "{} has no chat template to talk by; give --chat-template chatml or a file, or use: graft generate",
          speaker_.base.files->where());
  adapters_ = std::exchange(speaker_.adapters, {});   // who answers is chosen here
  if (!adapters_.empty()) speaker_.adapter = adapters_.front();
  reset();
}

void Chat::reset() {
  messages_ = Json::array();
  if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
}

std::string Chat::command(const std::string& line) {
  const size_t space = std::min(line.find(' '), line.size()), begin = std::min(line.find_first_not_of(' ', space), line.size());
  const std::string word = line.substr(0, space);
  std::string rest = line.substr(begin);
  rest.erase(rest.find_last_not_of(' ') + 1);
  if (word == "/help") return help;
  if (word == "/adapter") return rest.empty() ? list_adapters() : switch_adapter(rest);
  if (word == "/reset") {
    reset();
    return "a new conversation\n";
  }
  if (word == "/system") {
    system_ = rest;
    reset();
    return rest.empty() ? "a new conversation, without a system message\n" : "a new conversation under this system message\n";
  }
  refuse("no command {}; /help lists them", word);
}

std::string Chat::list_adapters() const {
  std::string text;
  for (const std::string& name : adapters_) text += (name == speaker_.adapter ? "* " : "  ") + name + "\n";
  return text + (speaker_.adapter.empty() ? "* " : "  ") + "none (the base alone)\n";
}

std::string Chat::switch_adapter(const std::string& name) {
  const bool known = std::find(adapters_.begin(), adapters_.end(), name) != adapters_.end();
  if (!known && name != "none") {
    require(std::filesystem::is_directory(name), "no adapter and no folder '{}'; /adapter lists the adapters", name);
    load_adapter(*speaker_.model, name, adapter_in(name), log_);
    adapters_.push_back(name);
  }
  speaker_.adapter = name == "none" ? "" : name;
  return list_adapters();
}

bool Chat::say(const std::string& text, const std::function<void(const std::string&)>& on_text, std::stop_token stop) {
  Json asked = messages_;
  asked.push_back({{"role", "user"}, {"content", text}});
  const auto ids = conversation_ids(speaker_.base, asked);
  require(std::ssize(ids) + options_.max_new_tokens <= speaker_.model->max_positions(),
          "the conversation has {} tokens by now, and the model {} positions; /reset begins anew", ids.size(),
          speaker_.model->max_positions());
  std::string said;
  bool whole = true;
  try {
    answer(
        speaker_, ids, options_, [&](const std::string& piece) { said += piece, on_text(piece); }, std::move(stop));
  } catch (const Stopped&) {
    whole = false;
  }
  asked.push_back({{"role", "assistant"}, {"content", said}});
  messages_ = std::move(asked);
  return whole;
}

}  // namespace graft
