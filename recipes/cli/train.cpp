// finetune and resume: a run from a job, and a run gone on with.
#include "../configs.h"
#include "../finetune.h"
#include "graft/config/yaml.h"
#include "verbs.h"

namespace graft::cli {
namespace {

struct Flags {
  std::string path;
  std::vector<std::string> overrides;
  StartOptions start;
  bool quiet = false, json = false;
  JsonLines json_lines{stdout};
  Observer nobody{};

  Observer& observer(Program& program) {
    program.quiet = quiet;
    if (json) return json_lines;
    return quiet ? nobody : program.progress;
  }
};

void add_common_flags(CLI::App* verb, Flags& flags) {
  verb->add_flag("--allow-change", flags.start.allow_change, "go on although options, data or base changed");
  verb->add_flag("--quiet", flags.quiet, "say nothing but warnings and errors");
  verb->add_flag("--json", flags.json, "steps, evaluations and checkpoints as JSON on standard output, an object a line");
}

}  // namespace

void add_train_verbs(Program& program) {
  auto start = std::make_shared<Flags>();
  auto* finetune_verb = program.verb("finetune", "launch a job: CONFIG [key=value ...]", [&program, start] {
    const Jobs jobs = read_jobs(read_config(find_config(start->path), start->overrides));
    program.run_folder = jobs.output_dir;
    finetune(jobs, start->start, start->observer(program), program.log, program.stop);
  });
  finetune_verb->add_option("config", start->path, "a YAML file, or the name of an installed config")->required();
  finetune_verb->add_option("overrides", start->overrides, "key=value, for example train.epochs=3");
  finetune_verb->add_flag("--resume-or-start", start->start.resume_or_start, "go on with the run in output_dir if there is one");
  finetune_verb->add_flag("--overwrite", start->start.overwrite, "remove the run in output_dir and start anew");
  add_common_flags(finetune_verb, *start);
  finetune_verb->footer([] { return "Keys of a job:\n" + job_help(); });

  auto again = std::make_shared<Flags>();
  auto* resume_verb = program.verb("resume", "go on with a run: RUN [key=value ...]", [&program, again] {
    program.run_folder = again->path;
    resume(again->path, again->overrides, again->start, again->observer(program), program.log, program.stop);
  });
  resume_verb->add_option("run", again->path, "the run's folder")->required();
  resume_verb->add_option("overrides", again->overrides, "key=value: train.epochs=5 extends a finished run");
  add_common_flags(resume_verb, *again);
}

}  // namespace graft::cli
