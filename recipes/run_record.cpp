#include "run_record.h"

#include <chrono>
#include <fstream>
#include <limits>

#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/atomic_file.h"
#include "graft/peft/graft_adapter.h"
#include "report.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

Json source_line(const SourceReport& r) {
  return {{"path", r.path},
          {"format", r.format},
          {"samples", r.samples},
          {"tokens", r.tokens},
          {"targets", r.targets},
          {"repeat", r.repeat},
          {"dropped", r.dropped},
          {"truncated", r.truncated},
          {"empty_answers", r.empty_answers},
          {"length", {{"p50", r.length_p50}, {"p90", r.length_p90}, {"max", r.length_max}}}};
}

Json data_counts(const PreparedData& data) {
  Json counts = {{"train", Json::array()}, {"held_out", Json::array()}};
  for (const auto& report : data.train.reports()) counts["train"].push_back(source_line(report));
  if (data.val)
    for (const auto& report : data.val->reports()) counts["held_out"].push_back(source_line(report));
  return counts;
}

/// Readies the folder's lines for the steps to come, so that it stands before a writer opens its file.
MetricsWriter metrics_writer(const fs::path& run, const RunRecord::Setup& setup, Observer& next) {
  cut_lines(run / "metrics.jsonl", setup.step);
  return {run / "metrics.jsonl", setup.job.train.log_every, next, setup.log};
}

void add_session_line(const fs::path& run, const char* event, const Json& rest) {
  Json line = {
      {"event", event},
      {"time", std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count()}};
  line.update(rest);
  std::ofstream out(run / "sessions.jsonl", std::ios::app);
  out << to_line(line) << std::endl;
  check(out.good(), "{}: cannot be written", (run / "sessions.jsonl").string());
}

void begin_session(const fs::path& run, const RunRecord::Setup& setup) {
  write_file(run / "data.json", data_counts(setup.data).dump(2) + "\n");
  Json session = {{"step", setup.step},
                  {"total_steps", setup.total_steps},
                  {"trainable_parameters", trainable_elements(setup.model, setup.adapter)},
                  {"model", setup.model.describe()},
                  {"machine", describe_machine()}};
  session.update(setup.facts);
  cut_lines(run / "sessions.jsonl", std::numeric_limits<int64_t>::max());  // of a line that a kill cut in two
  add_session_line(run, "start", session);
}

}  // namespace

void remove_run(const fs::path& run) {
  for (const char* name : {"checkpoints", "adapter", "job.yaml", "metrics.jsonl", "samples.jsonl", "sessions.jsonl", "data.json",
                           "tensorboard", "report.html"})
    fs::remove_all(run / name);
}

RunRecord::RunRecord(const Setup& setup, Observer& next)
    : run_(setup.job.output_dir),
      log_(setup.log),
      samples_(
          {setup.model, setup.adapter, setup.base, setup.prompts, setup.job.eval, run_ / "samples.jsonl", setup.log, setup.stop},
          next),
      events_(run_ / "tensorboard", setup.step, to_yaml(setup.job), setup.job.train.log_every, samples_, setup.log),
      metrics_(metrics_writer(run_, setup, events_)) {
  begin_session(run_, setup);
  samples_.begin(setup.step);
}

void RunRecord::finish(int64_t step) {
  try {
    add_session_line(run_, "end", {{"step", step}});
    write_file(run_ / "report.html", report_page({run_}));
    log_.info("{} shows the run", (run_ / "report.html").string());
  } catch (const std::exception& e) {  // the run itself is done and safe
    log_.warn("the report could not be written: {}", e.what());
  }
}

}  // namespace graft
