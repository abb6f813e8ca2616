// inspect, show, report, doctor, new, schema: to look at things, and to begin.
#include "../configs.h"
#include "../describe.h"
#include "../jobs.h"
#include "../report.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/atomic_file.h"
#include "verbs.h"

namespace graft::cli {
namespace {

struct Flags {
  std::string path, from, method = "lora";
  std::vector<std::string> overrides, runs;
  bool tensors = false;
  int64_t count = 3;
};

void write_new(const Program& program, const Flags& flags) {
  if (flags.path.empty()) {
    fmt::print("graft new FILE writes every key at its default; --from NAME copies one of:\n");
    for (const auto& file : installed_configs()) fmt::print("  {:<20} {}\n", file.stem().string(), file.string());
    return;
  }
  require(!std::filesystem::exists(flags.path), "{} exists already", flags.path);
  write_file(flags.path, flags.from.empty() ? new_config(flags.method) : read_text(find_config(flags.from)));
  program.log.info("wrote {}", flags.path);
}

void write_report(const Program& program, const Flags& flags) {
  const std::filesystem::path first = flags.runs.front();
  std::filesystem::path out = flags.path;
  if (out.empty()) out = flags.runs.size() == 1 ? first / "report.html" : "comparison.html";
  write_file(out, report_page({flags.runs.begin(), flags.runs.end()}));
  program.log.info("wrote {}", out.string());
}

}  // namespace

void add_look_verbs(Program& program) {
  auto flags = std::make_shared<Flags>();
  auto* look = program.verb("inspect", "describe a model, adapter, run, checkpoint or file", [flags] { fmt::print("{}", inspect(flags->path, flags->tensors)); });
  look->add_option("path", flags->path, "what to describe")->required();
  look->add_flag("--tensors", flags->tensors, "list every tensor");
  auto* show = program.verb("show", "samples as tokens: what is learnt stands in [[ ]]", [&program, flags] {
    for (const auto& [name, job] : read_jobs(read_config(find_config(flags->path), flags->overrides)).each) fmt::print("{}", show_samples(job, flags->count, program.log));
  });
  show->add_option("config", flags->path, "the job")->required();
  show->add_option("overrides", flags->overrides, "key=value");
  show->add_option("-n,--count", flags->count, "how many")->capture_default_str();
  auto* report = program.verb("report", "a run as an HTML page, RUN/report.html; several runs beside each other",
                              [&program, flags] { write_report(program, *flags); });
  report->add_option("runs", flags->runs, "the runs' folders")->required();
  report->add_option("--out", flags->path, "the page to write; default: RUN/report.html, for several comparison.html");
  program.verb("doctor", "what this machine and build can do", [] { fmt::print("{}", describe_machine()); });
  auto* fresh = program.verb("new", "write a commented config, or copy an installed one", [&program, flags] { write_new(program, *flags); });
  fresh->add_option("file", flags->path, "where to write; without it, what there is to copy is listed");
  const Choices names = AdapterOptions::method_names();
  fresh->add_option("--method", flags->method, "how to adapt")->capture_default_str()->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
  fresh->add_option("--from", flags->from, "an installed config's name");
  program.verb("schema", "the JSON schema of a job, for editors", [] { fmt::print("{}", job_schema()); });
}

}  // namespace graft::cli
