// plan: what a job will take, before paying for it.
#include "../configs.h"
#include "../plan.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "verbs.h"

namespace graft::cli {

void add_plan_verb(Program& program) {
  struct Flags {
    std::string config;
    std::vector<std::string> overrides;
    PlanRequest request;
  };
  auto flags = std::make_shared<Flags>();
  auto* plan = program.verb("plan", "memory, FLOPs and time of a job, without loading weights", [&program, flags] {
    const Jobs jobs = read_jobs(read_config(find_config(flags->config), flags->overrides));
    fmt::print("{}", plan_text(jobs, flags->request, program.log, program.stop));
  });
  plan->add_option("config", flags->config, "the job; its model.path may be a config.json alone")->required();
  plan->add_option("overrides", flags->overrides, "key=value");
  plan->add_option("--tokens", flags->request.tokens, "tokens of the whole run, instead of the data's")
      ->check(CLI::PositiveNumber);
  plan->add_flag("--gpu", flags->request.gpu, "as on a GPU, although there is none here");
  plan->add_option("--tflops", flags->request.tflops, "what the device sustains")->check(CLI::PositiveNumber);
}

}  // namespace graft::cli
