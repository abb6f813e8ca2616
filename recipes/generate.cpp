#include "generate.h"

#include <fstream>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "task.h"

namespace graft {

int64_t keep_complete_lines(const std::filesystem::path& out) {
  if (!std::filesystem::exists(out)) return 0;
  const std::string text = read_text(out);
  const size_t end = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (end < text.size()) std::filesystem::resize_file(out, end);
  return std::count(text.begin(), text.begin() + static_cast<int64_t>(end), '\n');
}

Speaker open_speaker(const Target& target, const std::string& device_name, const std::string& dtype, const Log& log, std::stop_token stop) {
  const at::Device device = device_from_name(device_name);
  Base base = open_base(target.model);
  auto model = load_base(base, {device, dtype_from_name(dtype, device), target.quantization, task_of(target, *base.files)}, log, std::move(stop));
  const std::string adapter = seat_target(*model, target, log);
  auto stops = stop_ids(base);
  return {std::move(base), std::move(model), adapter, std::move(stops)};
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

std::string answer(Speaker& speaker, const std::vector<int32_t>& prompt, const GenerateOptions& options,
                   const std::function<void(const std::string&)>& on_text, std::stop_token stop) {
  require(speaker.model->task().kind == TaskKind::causal_lm && speaker.model->vocabulary_head(), "{} generates no text", speaker.base.files->where());
  StreamDecoder decoder(speaker.base.tokenizer);
  std::string text;
  const auto say = [&](const std::string& piece) {
    text += piece;
    if (on_text) on_text(piece);
  };
  generate(*speaker.model, speaker.adapter, {prompt}, speaker.stops, options, [&](size_t, int32_t id) { say(decoder.add(id)); }, std::move(stop));
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
    std::vector<std::vector<int32_t>> prompts;
    for (int64_t i = begin; i < std::min(total, begin + batch_size); ++i) prompts.push_back(samples[static_cast<size_t>(i)].prompt);
    const auto answers = generate(*speaker.model, speaker.adapter, prompts, speaker.stops, options, {}, stop);
    for (size_t r = 0; r < answers.size(); ++r) {
      const PromptSample& sample = samples[static_cast<size_t>(begin) + r];
      Json line = {{"index", begin + static_cast<int64_t>(r)}, {"origin", sample.origin},
                   {"prediction", speaker.base.tokenizer.decode(answers[r], true)}};
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
