#include "graft/report/run_history.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "graft/core/error.h"
#include "graft/report/metrics.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

/// NaN and infinities stand as null in JSON.
double number(const Json& line, const char* key) {
  const auto it = line.find(key);
  return it != line.end() && it->is_number() ? it->get<double>() : NAN;
}

void add_step(RunHistory& run, const Json& line) {
  const double step = number(line, "step"), seconds = number(line, "seconds"), tokens = number(line, "tokens");
  for (const char* name : {"loss", "learning_rate", "gradient_norm", "memory"}) run.training[name].add(step, number(line, name));
  run.training["tokens_per_second"].add(step, tokens / seconds);
  if (std::isfinite(tokens) && std::isfinite(seconds)) run.tokens += tokens, run.seconds += seconds;
  run.skipped += line.value("skipped", false);
  if (line.contains("origins")) run.spikes.push_back(line);
}

void add_evaluation(RunHistory& run, const Json& line) {
  static const std::set<std::string> no_metrics{"step", "samples", "targets", "labels", "seconds"};
  for (const auto& [name, value] : line.items())
    if (value.is_number() && !no_metrics.contains(name))
      run.held_out[name == "eval_loss" ? "loss" : name].add(number(line, "step"), value.get<double>());
}

}  // namespace

double Curve::last() const {
  const auto it = std::find_if(values.rbegin(), values.rend(), [](double value) { return std::isfinite(value); });
  return it == values.rend() ? NAN : *it;
}

int64_t RunHistory::last_step() const {
  const auto loss = training.find("loss");
  return loss == training.end() || loss->second.empty() ? 0 : static_cast<int64_t>(loss->second.steps.back());
}

int64_t RunHistory::total_steps() const {
  int64_t total = last_step();
  for (const Json& session : sessions) total = session.value("total_steps", total);
  return total;
}

bool RunHistory::finished() const { return !sessions.empty() && sessions.back().value("event", std::string()) == "end"; }

RunHistory read_run_history(const fs::path& folder) {
  require(fs::exists(folder / "job.yaml") && fs::exists(folder / "checkpoints"),
          "{}: not a run's folder (no job.yaml, or no checkpoints)", folder.string());
  RunHistory run;
  run.name = folder.lexically_normal().string();
  run.job = read_text(folder / "job.yaml");
  const auto lines = whole_lines(folder / "metrics.jsonl");
  int64_t logged = 0;
  for (const Json& line : lines) {
    if (!std::isfinite(number(line, "step"))) continue;
    if (line.contains("eval_loss"))
      add_evaluation(run, line);
    else if (line.contains("loss"))
      add_step(run, line), ++logged;
  }
  if (logged > 0) run.tokens *= static_cast<double>(run.last_step()) / static_cast<double>(logged);
  if (logged > 0) run.seconds *= static_cast<double>(run.last_step()) / static_cast<double>(logged);
  run.samples = whole_lines(folder / "samples.jsonl");
  run.sessions = whole_lines(folder / "sessions.jsonl");
  if (fs::exists(folder / "data.json")) run.data = read_json(folder / "data.json");
  return run;
}

}  // namespace graft
