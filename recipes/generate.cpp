#include "generate.h"

#include <algorithm>
#include <fstream>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/table.h"
#include "task.h"

namespace graft {

int64_t keep_complete_lines(const std::filesystem::path& out) {
  if (!std::filesystem::exists(out)) return 0;
  const std::string text = read_text(out);
  const size_t end = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (end < text.size()) std::filesystem::resize_file(out, end);
  return std::count(text.begin(), text.begin() + static_cast<int64_t>(end), '\n');
}

Speaker open_speaker(const std::vector<Target>& targets, const std::string& device_name, const std::string& dtype, const Log& log, std::stop_token stop) {
  const Target& target = targets.front();
  const at::Device device = device_from_name(device_name);
  Base base = open_base(target.model);
  auto model = load_base(base, {device, dtype_from_name(dtype, device), target.quantization, task_of(target, *base.files)}, log, std::move(stop));
  std::vector<std::string> adapters;
  for (const Target& each : targets)
    if (const std::string name = seat_target(*model, each, log); !name.empty()) adapters.push_back(name);
  auto stops = stop_ids(base);
  return {std::move(base), std::move(model), adapters.size() == 1 ? adapters.front() : "", std::move(stops), std::move(adapters)};
}

Speaker open_speaker(const Target& target, const std::string& device, const std::string& dtype, const Log& log, std::stop_token stop) {
  return open_speaker(std::vector{target}, device, dtype, log, std::move(stop));
}

std::vector<std::string> Speaker::asked(const std::string& named, const std::string& origin) const {
  if (ensemble != Ensemble::none) return adapters;
  const std::string& name = named.empty() ? adapter : named;
  const bool is_here = std::find(adapters.begin(), adapters.end(), name) != adapters.end();
  require(adapters.size() < 2 || !name.empty(), "{}several adapters, and none is named: --use NAME, a field \"adapter\" in each sample, or --ensemble; there are: {}",
          origin.empty() ? "" : origin + ": ", join(adapters));
  require(is_here || named.empty(), "{}: no adapter '{}'{}; there are: {}", origin, name, did_you_mean(name, adapters), join(adapters));
  return {name};
}

std::vector<int32_t> conversation_ids(const Base& base, const Json& messages) {
  require(base.chat.has_value(), "{} has no chat template; give model.chat_template", base.files->where());
  return encode_chat(base.tokenizer, *base.chat, {messages, nullptr}, true).ids;
}

std::vector<int32_t> prompt_ids(const Base& base, const std::string& text, const std::string& system, bool raw) {
  if (raw || !base.chat) return base.tokenizer.encode(text, {.add_special_tokens = true});
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", text}});
  return conversation_ids(base, messages);
}

namespace {

/// The text that most gave; of as many, the earliest.
std::string majority(const std::vector<std::string>& answers) {
  const auto votes = [&](const std::string& text) { return std::count(answers.begin(), answers.end(), text); };
  return *std::max_element(answers.begin(), answers.end(), [&](const auto& a, const auto& b) { return votes(a) < votes(b); });
}

/// prompts: each with who is asked. Under a vote each of them answers for itself.
std::vector<std::string> answers_to(const Speaker& speaker, const std::vector<Prompt>& prompts, const GenerateOptions& options, const std::stop_token& stop) {
  const bool vote = speaker.ensemble == Ensemble::vote;
  std::vector<Prompt> asked;
  for (const Prompt& prompt : prompts) {
    if (!vote) asked.push_back(prompt);
    else for (const auto& adapter : prompt.adapters) asked.push_back({prompt.ids, {adapter}});
  }
  std::vector<std::string> texts;
  for (const auto& ids : generate(*speaker.model, asked, speaker.stops, options, {}, stop)) texts.push_back(speaker.base.tokenizer.decode(ids, true));
  if (!vote) return texts;
  std::vector<std::string> chosen;
  const size_t voters = speaker.adapters.size();
  for (size_t p = 0; p < prompts.size(); ++p) chosen.push_back(majority({texts.begin() + p * voters, texts.begin() + (p + 1) * voters}));
  return chosen;
}

}  // namespace

std::string answer(Speaker& speaker, const std::vector<int32_t>& prompt, const GenerateOptions& options,
                   const std::function<void(const std::string&)>& on_text, std::stop_token stop) {
  require(speaker.model->task().kind == TaskKind::causal_lm && speaker.model->vocabulary_head(), "{} generates no text", speaker.base.files->where());
  const Prompt asked{prompt, speaker.asked("", "")};
  StreamDecoder decoder(speaker.base.tokenizer);
  std::string text;
  const auto say = [&](const std::string& piece) {
    text += piece;
    if (on_text) on_text(piece);
  };
  if (speaker.ensemble == Ensemble::vote) {
    say(answers_to(speaker, {asked}, options, stop).front());
    return text;
  }
  generate(*speaker.model, {asked}, speaker.stops, options, [&](size_t, int32_t id) { say(decoder.add(id)); }, std::move(stop));
  say(decoder.finish());
  return text;
}

int64_t answer_file(Speaker& speaker, const DataOptions& data, const std::filesystem::path& out, int64_t batch_size,
                    const GenerateOptions& options, const Log& log, std::stop_token stop) {
  const auto samples = read_prompts(data.train, data, speaker.base.tokenizer, chat_or_null(speaker.base));
  const int64_t done = keep_complete_lines(out), total = static_cast<int64_t>(samples.size());
  if (done > 0) log.info("{}: {} of {} samples are answered already", out.string(), done, total);
  std::ofstream file(out, std::ios::app);
  check(file.good(), "{}: cannot be written", out.string());
  for (int64_t begin = done; begin < total; begin += batch_size) {
    std::vector<Prompt> prompts;
    for (int64_t i = begin; i < std::min(total, begin + batch_size); ++i) {
      const PromptSample& sample = samples[static_cast<size_t>(i)];
      prompts.push_back({sample.prompt, speaker.asked(sample.adapter, sample.origin)});
    }
    const auto answers = answers_to(speaker, prompts, options, stop);
    for (size_t r = 0; r < answers.size(); ++r) {
      const PromptSample& sample = samples[static_cast<size_t>(begin) + r];
      Json line = {{"index", begin + static_cast<int64_t>(r)}, {"origin", sample.origin},
                   {"prediction", answers[r]}};
      if (!sample.adapter.empty()) line["adapter"] = sample.adapter;
      if (!sample.reference.empty()) line["reference"] = sample.reference;
      file << to_line(line) << "\n";
    }
    file.flush();
    check(file.good(), "{}: cannot be written (is the disk full?)", out.string());
    log.info("answered {} of {}", std::min(total, begin + batch_size), total);
  }
  return total - done;
}

}  // namespace graft
