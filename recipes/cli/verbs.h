#pragma once
// What the verbs of the program share. A verb's flags live in a struct of its own that its action keeps.
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "../session.h"
#include "graft/core/log.h"
#include "graft/models/generate.h"
#include "graft/report/progress.h"
#include "signals.h"

namespace graft::cli {

struct Program {
  CLI::App& app;
  ProgressLine& progress;
  Log log;
  Signals& signals;
  std::stop_token stop;
  std::string run_folder;   // named in the message of a stopped run
  bool& quiet;              // warnings and errors alone are shown

  CLI::App* verb(const std::string& name, const std::string& help, std::function<void()> action);
};

/// A trained model or a plain one, as export, generate, chat and evaluate take it.
struct TargetFlags {
  std::string path, checkpoint = "last", chat_template = "auto", quantization = "none";
  std::vector<std::string> adapters;
  void add(CLI::App* verb);
  Target open(const Log& log) const;                     // of one adapter at most
  std::vector<Target> open_all(const Log& log) const;
};
struct ComputeFlags {
  std::string device = "auto", dtype = "auto";
  void add(CLI::App* verb);
};
struct SamplingFlags {
  GenerateOptions options;
  std::string system;
  void add(CLI::App* verb);
};

void add_train_verbs(Program& program);      // finetune, resume
void add_export_verbs(Program& program);     // export, quantize
void add_answer_verbs(Program& program);     // generate, evaluate
void add_chat_verb(Program& program);
void add_look_verbs(Program& program);       // inspect, show, report, doctor, new, schema
void add_plan_verb(Program& program);
void add_bench_verb(Program& program);

}  // namespace graft::cli
