#include "graft/report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

namespace graft {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}m{:02}s", s / 60, s % 60);
}

double smoothed(double average, double value, int64_t seen) { return seen == 0 ? value : 0.9 * average + 0.1 * value; }

}  // namespace

ProgressLine::ProgressLine(std::FILE* out, double plain_seconds) : out_(out), terminal_(isatty(fileno(out)) != 0), plain_seconds_(plain_seconds) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::clear() {
  if (line_open_) fmt::print(out_, "\n");
  line_open_ = false;
}

void ProgressLine::on_step(const StepReport& r) {
  step_seconds_ = smoothed(step_seconds_, r.seconds, seen_);
  tokens_per_second_ = smoothed(tokens_per_second_, static_cast<double>(r.tokens) / r.seconds, seen_);
  if (!r.skipped) loss_ = smoothed(loss_, r.loss, seen_);
  ++seen_;
  const auto now = std::chrono::steady_clock::now();
  const bool due = std::chrono::duration<double>(now - last_).count() >= (terminal_ ? 0.1 : plain_seconds_);
  if (!due && r.step != r.total_steps) return;
  last_ = now;
  const std::string line = fmt::format(
      "step {}/{}  epoch {:.2f}  loss {:.4f}  rate {:.2e}  norm {:.2f}  {:.0f} tokens/s  {:.2f} GiB  left {}{}", r.step, r.total_steps,
      r.epoch, loss_, r.learning_rate, r.gradient_norm, tokens_per_second_, static_cast<double>(r.memory) / (1 << 30),
      duration(step_seconds_ * static_cast<double>(r.total_steps - r.step)),
      r.skipped_total ? fmt::format("  skipped {}", r.skipped_total) : "");
  fmt::print(out_, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
  line_open_ = terminal_;
  std::fflush(out_);
}

void ProgressLine::on_eval(const EvalReport& r) {
  clear();
  fmt::print(out_, "step {}  held-out loss {:.4f}", r.step, r.loss);
  if (r.metrics.empty()) fmt::print(out_, "  perplexity {:.3f}  token accuracy {:.2f} %", r.perplexity, 100 * r.token_accuracy);
  for (const auto& [name, value] : r.metrics) fmt::print(out_, "  {} {:.4f}", name, value);
  if (r.label_accuracy >= 0) fmt::print(out_, "  accuracy {:.2f} % ({} labels)", 100 * r.label_accuracy, r.labels);
  fmt::print(out_, "  {} samples in {}{}\n", r.samples, duration(r.seconds), r.best ? "  best so far" : "");
  std::fflush(out_);
}

void ProgressLine::on_checkpoint(int64_t step, const std::filesystem::path& folder) {
  clear();
  fmt::print(out_, "step {}  saved {}\n", step, folder.string());
  std::fflush(out_);
}

}  // namespace graft
