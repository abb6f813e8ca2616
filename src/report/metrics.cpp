#include "graft/report/metrics.h"

#include <fstream>

#include "graft/io/atomic_file.h"

namespace graft {

std::vector<std::pair<std::string, double>> eval_numbers(const EvalReport& r) {
  std::vector<std::pair<std::string, double>> numbers{{"loss", r.loss}};
  if (r.metrics.empty())
    numbers.emplace_back("perplexity", r.perplexity), numbers.emplace_back("token_accuracy", r.token_accuracy);
  if (r.label_accuracy >= 0) numbers.emplace_back("accuracy", r.label_accuracy);
  numbers.insert(numbers.end(), r.metrics.begin(), r.metrics.end());
  return numbers;
}

Json step_line(const StepReport& r) {
  Json line = {{"step", r.step},
               {"epoch", r.epoch},
               {"loss", r.loss},
               {"gradient_norm", r.gradient_norm},
               {"learning_rate", r.learning_rate},
               {"skipped", r.skipped},
               {"tokens", r.tokens},
               {"targets", r.targets},
               {"seconds", r.seconds},
               {"data_wait", r.data_wait},
               {"memory", r.memory}};
  if (!r.adapter.empty()) line["adapter"] = r.adapter;
  if (!r.samples.empty()) line["gradient_z"] = r.gradient_z, line["origins"] = r.samples;
  return line;
}

Json eval_line(const EvalReport& r) {
  Json line = {{"step", r.step}};
  if (!r.adapter.empty()) line["adapter"] = r.adapter;
  for (const auto& [name, value] : eval_numbers(r)) line[name == "loss" ? "eval_loss" : name] = value;
  if (r.label_accuracy >= 0) line["labels"] = r.labels;
  line.update({{"samples", r.samples}, {"targets", r.targets}, {"best", r.best}, {"seconds", r.seconds}});
  return line;
}

bool worth_a_line(const StepReport& r, int64_t every) {
  return r.step % every == 0 || !r.samples.empty() || r.step == r.total_steps;
}

MetricsWriter::MetricsWriter(const std::filesystem::path& file, int64_t every, Observer& next, Log log)
    : out_(file, std::move(log)), every_(every), next_(next) {}

void MetricsWriter::on_step(const StepReport& r) {
  if (worth_a_line(r, every_)) out_.add(to_line(step_line(r)) + "\n");
  next_.on_step(r);
}

void MetricsWriter::on_eval(const EvalReport& r) {
  out_.add(to_line(eval_line(r)) + "\n");
  next_.on_eval(r);
}

void MetricsWriter::on_checkpoint(int64_t step, const std::filesystem::path& folder) { next_.on_checkpoint(step, folder); }

std::vector<Json> whole_lines(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false); json.is_object()) lines.push_back(std::move(json));
  return lines;
}

void cut_lines(const std::filesystem::path& file, int64_t step) {
  if (!std::filesystem::exists(file)) return;
  std::string kept;
  for (const Json& line : whole_lines(file))
    if (const auto it = line.find("step"); it != line.end() && it->is_number() && it->get<int64_t>() <= step)
      kept += to_line(line) + "\n";
  write_file(file, kept);
}

}  // namespace graft
