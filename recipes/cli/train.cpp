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
};

void add_allow_change(CLI::App* verb, StartOptions& start) {
  verb->add_flag("--allow-change", start.allow_change, "go on although options, data or base changed");
}

}  // namespace

void add_train_verbs(Program& program) {
  auto start = std::make_shared<Flags>();
  auto* finetune_verb = program.verb("finetune", "launch a job: CONFIG [key=value ...]", [&program, start] {
    const Jobs jobs = read_jobs(read_config(find_config(start->path), start->overrides));
    program.run_folder = jobs.output_dir;
    finetune(jobs, start->start, program.progress, program.log, program.stop);
  });
  finetune_verb->add_option("config", start->path, "a YAML file, or the name of an installed config")->required();
  finetune_verb->add_option("overrides", start->overrides, "key=value, for example train.epochs=3");
  finetune_verb->add_flag("--resume-or-start", start->start.resume_or_start, "go on with the run in output_dir if there is one");
  finetune_verb->add_flag("--overwrite", start->start.overwrite, "remove the run in output_dir and start anew");
  add_allow_change(finetune_verb, start->start);
  finetune_verb->footer([] { return "Keys of a job:\n" + job_help(); });

  auto again = std::make_shared<Flags>();
  auto* resume_verb = program.verb("resume", "go on with a run: RUN [key=value ...]", [&program, again] {
    program.run_folder = again->path;
    resume(again->path, again->overrides, again->start, program.progress, program.log, program.stop);
  });
  resume_verb->add_option("run", again->path, "the run's folder")->required();
  resume_verb->add_option("overrides", again->overrides, "key=value: train.epochs=5 extends a finished run");
  add_allow_change(resume_verb, again->start);
}

}  // namespace graft::cli
