// The program: signals, messages and exit codes. 0 done; 1 the run failed; 2 the request was wrong; 3 stopped after saving.
#include <malloc.h>

#include <cstdio>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "signals.h"
#include "verbs.h"

namespace graft::cli {
namespace {

// Verbs that people type from habit.
const std::pair<const char*, const char*> habits[] = {
    {"train", "finetune"}, {"sft", "finetune"}, {"fit", "finetune"}, {"fine-tune", "finetune"}, {"eval", "evaluate"}, {"test", "evaluate"},
    {"merge", "export RUN --merged OUT"}, {"save", "export"}, {"infer", "generate"}, {"inference", "generate"}, {"predict", "generate"},
    {"preprocess", "show"}, {"info", "inspect"}, {"continue", "resume"}, {"init", "new"}, {"env", "doctor"}, {"benchmark", "bench"}, {"speed", "bench"}};

void check_verb(const CLI::App& app, const std::string& verb) {
  std::vector<std::string> verbs;
  for (const auto* sub : app.get_subcommands({})) verbs.push_back(sub->get_name());
  if (verb.empty() || verb.starts_with('-') || std::find(verbs.begin(), verbs.end(), verb) != verbs.end()) return;
  for (const auto& [typed, meant] : habits)
    if (verb == typed) refuse("no verb '{}': you mean  graft {}", verb, meant);
  refuse("no verb '{}'{}; there are: {}", verb, did_you_mean(verb, verbs), join(verbs));
}

int run(int argc, char** argv, Signals& signals) {
  CLI::App app{"graft: fine-tunes transformer language models with small modules on a frozen base", "graft"};
  app.set_help_all_flag("--help-all", "help for every verb");
  app.set_version_flag("--version", GRAFT_VERSION);
  app.require_subcommand(1);
  ProgressLine progress(stdout);
  bool quiet = false;
  const Log log([&](LogLevel level, const std::string& text) {
    if (quiet && level == LogLevel::info) return;
    progress.clear();
    show(stderr, (level == LogLevel::warning ? "warning: " : "") + text + "\n");
  });
  Program program{app, progress, log, signals, signals.stop(), "", quiet};
  add_train_verbs(program), add_export_verbs(program), add_answer_verbs(program), add_chat_verb(program), add_look_verbs(program);
  add_plan_verb(program), add_bench_verb(program);
  try {
    if (argc > 1) check_verb(app, argv[1]);
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const Stopped& e) {
    progress.clear();
    show(stderr, fmt::format("{}\n{}", e.what(), program.run_folder.empty() ? "" : "go on with:  graft resume " + program.run_folder + "\n"));
    return 3;
  } catch (const RequestError& e) {
    progress.clear();
    show(stderr, fmt::format("graft: {}\n", e.what()));
    return 2;
  } catch (const std::exception& e) {
    progress.clear();
    show(stderr, fmt::format("graft: failed: {}\n", e.what()));
    return 1;
  }
}

}  // namespace
}  // namespace graft::cli

int main(int argc, char** argv) {
  // Large blocks come back every step: keep them, instead of asking the kernel for fresh (zeroed, faulting) pages each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  graft::cli::fill_standard_streams();
  graft::cli::Signals signals;
  return graft::cli::run(argc, argv, signals);
}
