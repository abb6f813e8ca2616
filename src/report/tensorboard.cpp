#include "graft/report/tensorboard.h"

#include "graft/report/metrics.h"

namespace graft {
namespace {

/// Indented, markdown shows text as it is, whatever it holds.
std::string verbatim(std::string_view text) {
  std::string out = "    ";
  for (const char c : text) out += c == '\n' ? std::string("\n    ") : std::string(1, c);
  return out;
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, int64_t step, std::string_view job, int64_t every,
                                     Observer& next, Log log)
    : events_(folder, step + 1, std::move(log)), every_(every), next_(next) {
  events_.text("job", step, verbatim(job));
  events_.flush();
}

void TensorBoardWriter::on_step(const StepReport& r) {
  if (worth_a_line(r, every_)) {
    events_.scalar("train/loss", r.step, r.loss);
    events_.scalar("train/learning_rate", r.step, r.learning_rate);
    events_.scalar("train/grad_norm", r.step, r.gradient_norm);
    events_.scalar("train/epoch", r.step, r.epoch);
    events_.scalar("train/tokens_per_second", r.step, static_cast<double>(r.tokens) / r.seconds);
    events_.scalar("train/memory_gib", r.step, static_cast<double>(r.memory) / (1 << 30));
    events_.scalar("train/skipped_steps", r.step, static_cast<double>(r.skipped_total));
    events_.flush();
  }
  next_.on_step(r);
}

void TensorBoardWriter::on_eval(const EvalReport& r) {
  for (const auto& [name, value] : eval_numbers(r)) events_.scalar("eval/" + name, r.step, value);
  events_.flush();
  next_.on_eval(r);
}

}  // namespace graft
