// generate and evaluate: a model or a run at work.
#include <cstdio>
#include <iostream>

#include "../classify.h"
#include "../describe.h"
#include "../generate.h"
#include "graft/core/error.h"
#include "verbs.h"

namespace graft::cli {
namespace {

struct AnswerFlags {
  TargetFlags target;
  ComputeFlags compute;
  SamplingFlags sampling;
  std::string prompt, data, out = "predictions.jsonl", use;
  Ensemble ensemble = Ensemble::none;
  int64_t batch_size = 16;
  bool raw = false;
};

void print_piece(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

Speaker open(const Program& program, const AnswerFlags& flags) {
  Speaker speaker = open_speaker(flags.target.open_all(program.log), flags.compute.device, flags.compute.dtype, program.log, program.stop);
  speaker.ensemble = flags.ensemble;
  require(flags.ensemble == Ensemble::none || speaker.adapters.size() > 1, "--ensemble takes several adapters");
  if (!flags.use.empty()) speaker.adapter = speaker.asked(flags.use, "--use").front();
  return speaker;
}

void add_choice(CLI::App* verb, AnswerFlags& flags) {
  const std::map<std::string, Ensemble> ensembles{{"mean", Ensemble::mean}, {"vote", Ensemble::vote}};
  verb->add_option("--use", flags.use, "of several adapters, the one that answers (a sample's own field \"adapter\" goes before it)");
  verb->add_option("--ensemble", flags.ensemble, "all adapters answer together: mean (of their logits) | vote (the answer that most give)")
      ->transform(CLI::CheckedTransformer(ensembles));
}

void run_generate(const Program& program, const AnswerFlags& flags) {
  Speaker speaker = open(program, flags);
  const bool labels = speaker.model->task().kind != TaskKind::causal_lm;
  if (!flags.data.empty()) {
    DataOptions data;
    data.train = {DataSource{.path = flags.data}};
    const int64_t count = labels ? classify_file(speaker, data, flags.out, flags.batch_size, program.log, program.stop)
                                 : answer_file(speaker, data, flags.out, flags.batch_size, flags.sampling.options, program.log, program.stop);
    program.log.info("{} new answers in {}", count, flags.out);
    return;
  }
  const auto say = [&](const std::string& prompt) {
    if (labels) return print_piece(classify_text(speaker, prompt));
    answer(speaker, prompt_ids(speaker.base, prompt, flags.sampling.system, flags.raw), flags.sampling.options, print_piece, program.stop);
    fmt::print("\n");
  };
  if (!flags.prompt.empty()) return say(flags.prompt);
  for (std::string line; std::getline(std::cin, line);)
    if (!line.empty()) say(line);
}

struct EvaluateFlags {
  TargetFlags target;
  ComputeFlags compute;
  std::vector<std::string> files;
  int64_t batch_size = 16, max_length = 2048;
};

void run_evaluate(const Program& program, const EvaluateFlags& flags) {
  DataOptions data;
  for (const auto& file : flags.files) data.train.push_back(DataSource{.path = file});
  data.max_length = static_cast<int>(flags.max_length);
  if (flags.files.empty()) data = held_out_data(flags.target.path);
  fmt::print("{}", evaluate_target(flags.target.open(program.log), data, flags.compute.device, flags.compute.dtype, flags.batch_size, program.log, program.stop));
}

}  // namespace

void add_answer_verbs(Program& program) {
  auto g = std::make_shared<AnswerFlags>();
  auto* generate = program.verb("generate", "answer a prompt, or every sample of a file", [&program, g] { run_generate(program, *g); });
  g->target.add(generate), g->compute.add(generate), g->sampling.add(generate), add_choice(generate, *g);
  generate->add_option("--prompt", g->prompt, "the prompt; without it and --data, lines of standard input");
  generate->add_option("--data", g->data, "answer every sample of this file (any of graft's formats)");
  generate->add_option("--out", g->out, "with --data: the JSONL file to write; goes on where it was stopped")->capture_default_str();
  generate->add_option("--batch-size", g->batch_size, "with --data: samples at once")->capture_default_str()->check(CLI::PositiveNumber);
  generate->add_flag("--raw", g->raw, "the prompt as it is, without the chat template");

  auto e = std::make_shared<EvaluateFlags>();
  auto* evaluate = program.verb("evaluate", "loss, perplexity and label accuracy on files (a run's own held-out data without any)", [&program, e] { run_evaluate(program, *e); });
  e->target.add(evaluate), e->compute.add(evaluate);
  evaluate->add_option("files", e->files, "data files");
  evaluate->add_option("--batch-size", e->batch_size, "samples at once")->capture_default_str()->check(CLI::PositiveNumber);
  evaluate->add_option("--max-length", e->max_length, "longest sample, in tokens")->capture_default_str()->check(CLI::PositiveNumber);
}

}  // namespace graft::cli
