#include "sample_answers.h"

#include <algorithm>
#include <fstream>

#include "generate.h"
#include "graft/core/error.h"
#include "graft/report/metrics.h"

namespace graft {

std::vector<SamplePrompt> read_sample_prompts(const Job& job, const Base& base, const Task& task) {
  const std::filesystem::path file = job.eval.prompts;
  if (file.empty()) return {};
  require(task.kind == TaskKind::causal_lm, "eval.prompts: a model for {} writes no answers", name_of(task.kind));
  require(std::filesystem::is_regular_file(file), "eval.prompts: {}: no such file", file.string());
  std::vector<SamplePrompt> prompts;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (prompts.empty() && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);  // a BOM
    if (!line.empty()) prompts.push_back({line, prompt_ids(base, line, job.data.system.value_or(""), false)});
  }
  require(!prompts.empty(), "eval.prompts: {} has no line", file.string());
  require(prompts.size() <= 100, "eval.prompts: {} has {} prompts; at most a hundred are answered at each evaluation",
          file.string(), prompts.size());
  return prompts;
}

bool SampleAnswers::due(int64_t step) const {
  return !setup_.prompts.empty() && (step == 0 || (setup_.options.every > 0 && step % setup_.options.every == 0));
}

void SampleAnswers::begin(int64_t step) {
  cut_lines(setup_.file, step);
  if (setup_.prompts.empty()) return;
  const auto lines = whole_lines(setup_.file);
  const auto done = std::count_if(lines.begin(), lines.end(), [&](const Json& line) { return line.at("step") == step; });
  const bool missing = due(step) && done < std::ssize(setup_.prompts);   // a stop or a kill came between the step and its answers
  if (missing) cut_lines(setup_.file, step - 1);
  out_.emplace(setup_.file, setup_.log);
  if (missing) answer(step);
}

void SampleAnswers::on_step(const StepReport& report) {
  next_.on_step(report);
  if (due(report.step) || (report.step == report.total_steps && !setup_.prompts.empty())) answer(report.step);
}

std::string SampleAnswers::lines_of(size_t begin, size_t end, int64_t step) {
  GenerateOptions options;
  options.max_new_tokens = setup_.options.max_new_tokens;
  std::vector<std::vector<int32_t>> ids;
  for (size_t i = begin; i < end; ++i) ids.push_back(setup_.prompts[i].ids);
  const auto answers = generate(setup_.model, setup_.adapter, ids, stop_ids(setup_.base), options, {}, setup_.stop);
  std::string lines;
  for (size_t i = begin; i < end; ++i) {
    const auto& answer = answers[i - begin];
    lines += to_line({{"step", step},
                      {"prompt", setup_.prompts[i].text},
                      {"answer", setup_.base.tokenizer.decode(answer, true)},
                      {"ended", std::ssize(answer) < options.max_new_tokens}}) +
             "\n";
  }
  return lines;
}

void SampleAnswers::answer(int64_t step) {
  const auto at_once = static_cast<size_t>(setup_.options.batch_size);
  std::string lines;
  try {
    for (size_t begin = 0; begin < setup_.prompts.size(); begin += at_once)
      lines += lines_of(begin, std::min(setup_.prompts.size(), begin + at_once), step);
  } catch (const Stopped&) {  // the trainer sees the stop too, and saves; begin() makes up for the answers
    return;
  }
  out_->add(lines);
}

}  // namespace graft
