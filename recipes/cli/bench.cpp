// bench: how fast a job trains here.
#include <cinttypes>
#include <cstdio>

#include "../bench.h"
#include "../configs.h"
#include "graft/core/error.h"
#include "graft/core/json.h"
#include "verbs.h"

namespace graft::cli {
namespace {

/// "4x2048".
BenchRows rows_of(const std::string& text) {
  BenchRows rows;
  int end = 0;
  const bool read = std::sscanf(text.c_str(), "%" SCNd64 "x%" SCNd64 "%n", &rows.rows, &rows.columns, &end) == 2 && text.c_str()[end] == '\0';
  require(read && rows.rows > 0 && rows.columns > 1, "--batch '{}': expected ROWSxTOKENS, as in 4x2048", text);
  return rows;
}

std::string shape_names() {
  std::string names;
  for (const auto& shape : installed_shapes()) names += (names.empty() ? "" : ", ") + shape.stem().string();
  return names;
}

}  // namespace

void add_bench_verb(Program& program) {
  struct Flags {
    std::string what, batch;
    std::vector<std::string> overrides;
    BenchRequest request;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  auto* bench_verb = program.verb("bench", "how fast a shape or a job trains here, against the floor of the same run", [&program, flags] {
    if (!flags->batch.empty()) flags->request.rows = rows_of(flags->batch);
    const Json result = bench(bench_job(flags->what, flags->overrides), flags->request, program.log, program.stop);
    fmt::print("{}", flags->json ? to_line(result) + "\n" : bench_text(result));
  });
  bench_verb->add_option("what", flags->what, "a shape's name, a config.json (random weights, LoRA on all linear layers), or a job's config")->required();
  bench_verb->add_option("overrides", flags->overrides, "key=value, as in quantization.format=nf4 train.recompute=layer train.dtype=bf16");
  auto* batch = bench_verb->add_option("--batch", flags->batch, "full rows of random tokens, ROWSxTOKENS");
  bench_verb->add_option("--lengths", flags->request.lengths, "random samples of these lengths: a file with a number a line; data.packing=true packs them")
      ->excludes(batch);
  bench_verb->add_option("--seconds", flags->request.seconds, "of steps, once warm")->capture_default_str()->check(CLI::PositiveNumber);
  bench_verb->add_flag("--floor,!--no-floor", flags->request.floor, "measure the floor too (the default)");
  bench_verb->add_flag("--json", flags->json, "one JSON object on standard output");
  bench_verb->footer([] { return "Shapes: " + shape_names(); });
}

}  // namespace graft::cli
