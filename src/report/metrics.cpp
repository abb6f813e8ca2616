#include "graft/report/metrics.h"

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/atomic_file.h"

namespace graft {

MetricsWriter::MetricsWriter(const std::filesystem::path& file, int64_t every, Observer& next)
    : out_(file, std::ios::app), every_(every), next_(next) {
  check(out_.good(), "{}: cannot be written", file.string());
}

void MetricsWriter::on_step(const StepReport& r) {
  if (r.step % every_ == 0 || r.skipped || r.step == r.total_steps)
    out_ << to_line({{"step", r.step}, {"epoch", r.epoch}, {"loss", r.loss}, {"gradient_norm", r.gradient_norm},
                     {"learning_rate", r.learning_rate}, {"skipped", r.skipped}, {"tokens", r.tokens}, {"targets", r.targets},
                     {"seconds", r.seconds}, {"memory", r.memory}})
         << std::endl;
  next_.on_step(r);
}

void MetricsWriter::on_eval(const EvalReport& r) {
  Json line = {{"step", r.step}, {"eval_loss", r.loss}, {"perplexity", r.perplexity}, {"token_accuracy", r.token_accuracy},
               {"samples", r.samples}, {"targets", r.targets}, {"best", r.best}, {"seconds", r.seconds}};
  if (r.label_accuracy >= 0) line["accuracy"] = r.label_accuracy, line["labels"] = r.labels;
  if (!r.metrics.empty()) {
    line.erase("perplexity"), line.erase("token_accuracy");   // of a language
    for (const auto& [name, value] : r.metrics) line[name] = value;
  }
  out_ << to_line(line) << std::endl;
  next_.on_eval(r);
}

void MetricsWriter::on_checkpoint(int64_t step, const std::filesystem::path& folder) { next_.on_checkpoint(step, folder); }

void cut_metrics(const std::filesystem::path& file, int64_t step) {
  if (!std::filesystem::exists(file)) return;
  std::ifstream in(file);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);   // a line cut by a kill is dropped too
    if (json.is_object() && json.value("step", step + 1) <= step) kept += line + "\n";
  }
  in.close();
  write_file(file, kept);
}

}  // namespace graft
