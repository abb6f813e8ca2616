#include "graft/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <initializer_list>
#include <string>

#include "graft/report/metrics.h"

namespace graft {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}m{:02}s", s / 60, s % 60);
}

double smoothed(double average, double value, int64_t seen) { return seen == 0 ? value : 0.9 * average + 0.1 * value; }

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

size_t columns_of(std::FILE* terminal) {
  winsize size{};
  return ioctl(fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// [======>     ] 54 %
std::string bar(int64_t step, int64_t total) {
  constexpr int64_t width = 16;
  const int64_t filled = width * step / total;
  return fmt::format("[{:=<{}}{}{:{}}] {} %", "", filled, filled < width ? ">" : "", "", std::max<int64_t>(0, width - filled - 1),
                     100 * step / total);
}

/// As many as fit, the first ones first: a line that wraps cannot be rewritten.
std::string fitted(std::initializer_list<std::string> fields, size_t columns) {
  std::string line;
  for (const std::string& field : fields)
    if (!field.empty() && line.size() + field.size() + 2 < columns) line += (line.empty() ? "" : "  ") + field;
  return line;
}

}  // namespace

void show(std::FILE* out, std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size() || std::fflush(out) != 0) std::clearerr(out);
}

ProgressLine::ProgressLine(std::FILE* out, double plain_seconds)
    : out_(out), terminal_(isatty(fileno(out)) != 0), plain_seconds_(plain_seconds) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::clear() {
  if (line_open_) show(out_, "\n");
  line_open_ = false;
}

/// By the clock, so that evaluations and checkpoints count too.
double ProgressLine::seconds_left(Course& course, const StepReport& r) {
  const auto now = std::chrono::steady_clock::now();
  if (course.seen == 0) course.began = now, course.first_step = r.step;
  const double a_step = r.step == course.first_step
                            ? r.seconds
                            : seconds_between(course.began, now) / static_cast<double>(r.step - course.first_step);
  return a_step * static_cast<double>(r.total_steps - r.step);
}

void ProgressLine::on_step(const StepReport& r) {
  Course& course = courses_[r.adapter];
  const double left = seconds_left(course, r);
  course.tokens_per_second = smoothed(course.tokens_per_second, static_cast<double>(r.tokens) / r.seconds, course.seen);
  if (!r.skipped) course.loss = smoothed(course.loss, r.loss, course.seen);
  ++course.seen;
  const auto now = std::chrono::steady_clock::now();
  if (seconds_between(last_, now) < (terminal_ ? 0.1 : plain_seconds_) && r.step != r.total_steps) return;
  last_ = now;
  const std::string line = fitted(
      {r.adapter, fmt::format("step {}/{}", r.step, r.total_steps), terminal_ ? bar(r.step, r.total_steps) : "",
       fmt::format("loss {:.4f}", course.loss), fmt::format("left {}", duration(left)),
       r.skipped_total ? fmt::format("skipped {}", r.skipped_total) : "", fmt::format("{:.0f} tokens/s", course.tokens_per_second),
       fmt::format("rate {:.2e}", r.learning_rate), fmt::format("{:.2f} GiB", static_cast<double>(r.memory) / (1 << 30)),
       fmt::format("norm {:.2f}", r.gradient_norm), fmt::format("epoch {:.2f}", r.epoch)},
      terminal_ ? columns_of(out_) : std::string::npos);
  show(out_, terminal_ ? "\r\033[K" + line : line + "\n");
  line_open_ = terminal_;
}

void ProgressLine::on_eval(const EvalReport& r) {
  clear();
  std::string line = fmt::format("{}{}step {}  held-out loss {:.4f}", r.adapter, r.adapter.empty() ? "" : "  ", r.step, r.loss);
  if (r.metrics.empty())
    line += fmt::format("  perplexity {:.3f}  token accuracy {:.2f} %", r.perplexity, 100 * r.token_accuracy);
  for (const auto& [name, value] : r.metrics) line += fmt::format("  {} {:.4f}", name, value);
  if (r.label_accuracy >= 0) line += fmt::format("  accuracy {:.2f} % ({} labels)", 100 * r.label_accuracy, r.labels);
  show(out_, fmt::format("{}  {} samples in {}{}\n", line, r.samples, duration(r.seconds), r.best ? "  best so far" : ""));
}

void ProgressLine::on_checkpoint(int64_t step, const std::filesystem::path& folder) {
  clear();
  show(out_, fmt::format("step {}  saved {}\n", step, folder.string()));
}

void JsonLines::on_step(const StepReport& r) {
  Json line = {{"event", "step"}, {"total_steps", r.total_steps}};
  line.update(step_line(r));
  show(out_, to_line(line) + "\n");
}

void JsonLines::on_eval(const EvalReport& r) {
  Json line = {{"event", "eval"}};
  line.update(eval_line(r));
  show(out_, to_line(line) + "\n");
}

void JsonLines::on_checkpoint(int64_t step, const std::filesystem::path& folder) {
  show(out_, to_line({{"event", "checkpoint"}, {"step", step}, {"folder", folder.string()}}) + "\n");
}

}  // namespace graft
