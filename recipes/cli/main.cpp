// The program: signals, messages and exit codes. 0 done; 1 the run failed; 2 the request was wrong; 3 stopped after saving.
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "verbs.h"

namespace graft::cli {
namespace {

/// SIGINT and SIGTERM ask for a stop; a second one ends the program at once. Handled on a thread of its own, where anything may be done.
std::stop_source watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);   // every thread inherits this
  std::stop_source source;
  std::thread([signals, source]() mutable {
    int signal = 0;
    sigwait(&signals, &signal);
    fmt::print(stderr, "\nstopping: finishes what cannot be cut off, then saves (once more: stops at once)\n");
    source.request_stop();
    sigwait(&signals, &signal);
    std::_Exit(3);
  }).detach();
  return source;
}

// Verbs that people type from habit.
const std::pair<const char*, const char*> habits[] = {
    {"train", "finetune"}, {"sft", "finetune"}, {"fit", "finetune"}, {"fine-tune", "finetune"}, {"eval", "evaluate"}, {"test", "evaluate"},
    {"merge", "export RUN --merged OUT"}, {"save", "export"}, {"infer", "generate"}, {"inference", "generate"}, {"predict", "generate"},
    {"preprocess", "show"}, {"info", "inspect"}, {"continue", "resume"}, {"init", "new"}, {"env", "doctor"}};

void check_verb(const CLI::App& app, const std::string& verb) {
  std::vector<std::string> verbs;
  for (const auto* sub : app.get_subcommands({})) verbs.push_back(sub->get_name());
  if (verb.empty() || verb.starts_with('-') || std::find(verbs.begin(), verbs.end(), verb) != verbs.end()) return;
  for (const auto& [typed, meant] : habits)
    if (verb == typed) refuse("no verb '{}': you mean  graft {}", verb, meant);
  refuse("no verb '{}'{}; there are: {}", verb, did_you_mean(verb, verbs), join(verbs));
}

int run(int argc, char** argv, std::stop_token stop) {
  CLI::App app{"graft: fine-tunes transformer language models with small modules on a frozen base", "graft"};
  app.set_help_all_flag("--help-all", "help for every verb");
  app.set_version_flag("--version", GRAFT_VERSION);
  app.require_subcommand(1);
  ProgressLine progress(stdout);
  const Log log([&progress](LogLevel level, const std::string& text) {
    progress.clear();
    fmt::print(stderr, "{}{}\n", level == LogLevel::warning ? "warning: " : "", text);
  });
  Program program{app, progress, log, std::move(stop), ""};
  add_train_verbs(program), add_export_verbs(program), add_answer_verbs(program), add_look_verbs(program);
  try {
    if (argc > 1) check_verb(app, argv[1]);
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const Stopped& e) {
    progress.clear();
    fmt::print(stderr, "{}\n{}", e.what(), program.run_folder.empty() ? "" : "go on with:  graft resume " + program.run_folder + "\n");
    return 3;
  } catch (const RequestError& e) {
    progress.clear();
    fmt::print(stderr, "graft: {}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    progress.clear();
    fmt::print(stderr, "graft: failed: {}\n", e.what());
    return 1;
  }
}

}  // namespace
}  // namespace graft::cli

int main(int argc, char** argv) {
  // Large blocks come back every step: keep them, instead of asking the kernel for fresh (zeroed, faulting) pages each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  return graft::cli::run(argc, argv, graft::cli::watch_signals().get_token());
}
