// export and quantize: models and adapters for other tools.
#include "../export.h"
#include "../export_gguf.h"

#include <charconv>
#include <optional>

#include "../quantize.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/atomic_file.h"
#include "graft/peft/combine.h"
#include "graft/report/quantization_page.h"
#include "verbs.h"

namespace graft::cli {
namespace {

int64_t parse_bytes(const std::string& text) {
  size_t end = 0;
  const double number = std::stod(text, &end);
  std::string unit = text.substr(end);
  for (const auto& [name, factor] : {std::pair<const char*, double>{"", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}})
    if (unit == name && number > 0) return static_cast<int64_t>(number * factor);
  refuse("--max-shard-size {}: expected a size like 5GB or 200MB", text);
}

struct ExportFlags {
  TargetFlags target;
  MergeOptions merge;
  GgufOptions gguf_options;
  std::string merged, adapter, gguf, gguf_adapter, shard_size = "5GB", into = "dequantized";
  bool no_verify = false;
};

void run_export(const Program& program, ExportFlags& flags) {
  const Target target = flags.target.open(program.log);
  require(!flags.merged.empty() || !flags.adapter.empty() || !flags.gguf.empty() || !flags.gguf_adapter.empty(),
          "export: say what to write: --merged OUT, --adapter OUT, --gguf FILE, --gguf-adapter FILE, or several");
  flags.merge.max_shard_bytes = parse_bytes(flags.shard_size);
  flags.merge.verify = !flags.no_verify;
  flags.merge.into = flags.into == "original" ? MergeInto::original : flags.into == "requantized" ? MergeInto::requantized : MergeInto::dequantized;
  flags.gguf_options.verify = flags.merge.verify, flags.gguf_options.into = flags.merge.into;
  if (!flags.adapter.empty()) export_adapter(target, flags.adapter, program.log);
  if (!flags.gguf_adapter.empty()) export_gguf_adapter(target, flags.gguf_adapter, program.log);
  if (!flags.merged.empty()) export_merged(target, flags.merged, flags.merge, program.log, program.stop);
  if (!flags.gguf.empty()) export_gguf(target, flags.gguf, flags.gguf_options, program.log, program.stop);
}

struct CombineFlags {
  std::string out;
  std::vector<std::string> adapters;
  std::optional<int64_t> rank;
};

/// FOLDER or FOLDER:WEIGHT; a run's folder stands for its adapter.
WeightedAdapter weighted(const std::string& given) {
  WeightedAdapter adapter{given, 1};
  if (const size_t colon = given.rfind(':'); colon != std::string::npos && !std::filesystem::exists(given)) {
    const char* begin = given.data() + colon + 1;
    const auto [end, error] = std::from_chars(begin, given.data() + given.size(), adapter.weight);
    require(error == std::errc{} && end == given.data() + given.size(), "combine: '{}': expected FOLDER or FOLDER:WEIGHT", given);
    adapter.folder = given.substr(0, colon);
  }
  adapter.folder = adapter_in(adapter.folder);
  return adapter;
}

void run_combine(const Program& program, const CombineFlags& flags) {
  std::vector<WeightedAdapter> adapters;
  for (const auto& given : flags.adapters) adapters.push_back(weighted(given));
  const Combination done = combine_adapters(adapters, flags.rank, flags.out, program.log);
  program.log.info("{}: rank {} on {} modules{}", flags.out, done.rank, done.modules,
                   flags.rank ? fmt::format("; the lower rank leaves out {:.2f} % (Frobenius norm)", 100 * done.relative_error) : ", the exact sum");
}

struct QuantizeFlags {
  std::string model, to = "none", out, report_folder;
  QuantizationOptions options;
  ReportOptions report;
  bool reports = false;
};

void write_report(const ModelReport& report, const std::filesystem::path& folder, const Log& log) {
  std::filesystem::create_directories(folder);
  write_file(folder / "report.json", report_json(report).dump(2) + "\n");
  write_file(folder / "report.html", quantization_page(report));
  log.info("{} shows it with pictures", (folder / "report.html").string());
}

void run_quantize(const Program& program, QuantizeFlags& flags) {
  require(flags.reports || !flags.out.empty(), "quantize: give --report, or --to FORMAT and a folder to write");
  ModelOptions model;
  model.path = flags.model;
  const Base base = open_base(model);
  if (flags.reports) {
    flags.report.skip_modules = flags.options.skip_modules, flags.report.double_quantization = flags.options.double_quantization;
    const ModelReport report = report_quantization(base, flags.report, program.log, program.stop);
    fmt::print("{}", report_table(report));
    if (!flags.report_folder.empty()) write_report(report, flags.report_folder, program.log);
  }
  if (flags.out.empty()) return;
  flags.options.format = flags.to;
  if (!flags.report.block_sizes.empty()) flags.options.block_size = flags.report.block_sizes.front();
  flags.options.clip = flags.report.clips.front();
  quantize_model(*base.files, base, flags.options, at::kBFloat16, device_from_name(flags.report.device), flags.out, program.log, program.stop);
}

}  // namespace

void add_export_verbs(Program& program) {
  auto flags = std::make_shared<ExportFlags>();
  auto* verb = program.verb("export", "write what a run learned for other tools: RUN --merged OUT | --adapter OUT | --gguf FILE | --gguf-adapter FILE", [&program, flags] { run_export(program, *flags); });
  flags->target.add(verb);
  verb->add_option("--merged", flags->merged, "the merged model, as a Hugging Face folder");
  verb->add_option("--adapter", flags->adapter, "the adapter, as a PEFT folder");
  verb->add_option("--gguf", flags->gguf, "the merged model with tokenizer and template, as llama.cpp and Ollama load it");
  verb->add_option("--type", flags->gguf_options.type, "of a GGUF's matrices")->capture_default_str()->check(CLI::IsMember(gguf_type_names()));
  verb->add_option("--gguf-adapter", flags->gguf_adapter, "the LoRA alone, for llama.cpp's --lora");
  verb->add_option("--dtype", flags->merge.dtype, "of the merged tensors: auto (the base's) | bf16 | fp16 | fp32")->capture_default_str();
  verb->add_option("--into", flags->into,
                   "a quantised base: dequantized (what training saw) | original (the file's own weights) | requantized (quantised again; after quantization.qat: as trained for)")
      ->capture_default_str()
      ->check(CLI::IsMember({"dequantized", "original", "requantized"}));
  verb->add_option("--max-shard-size", flags->shard_size, "largest file")->capture_default_str();
  verb->add_flag("--no-verify", flags->no_verify, "do not compare with the live model");

  auto c = std::make_shared<CombineFlags>();
  auto* combine = program.verb("combine", "LoRA adapters weighted and added up as one, or one compressed: OUT ADAPTER[:WEIGHT] ...", [&program, c] { run_combine(program, *c); });
  combine->add_option("out", c->out, "the folder to write (PEFT's format)")->required();
  combine->add_option("adapters", c->adapters, "adapter folders or runs, each with its weight: support:0.7 triage:0.3; without one: 1")->required();
  combine->add_option("--rank", c->rank, "compress to this rank (SVD); without it the ranks add up and the sum is exact")->check(CLI::PositiveNumber);

  auto q = std::make_shared<QuantizeFlags>();
  auto* quantize = program.verb("quantize", "a model in 4 or 8 bits, or what that would cost: MODEL --to FORMAT OUT | MODEL --report", [&program, q] { run_quantize(program, *q); });
  quantize->add_option("model", q->model, "a model's folder, a .gguf file, or org/name in the Hugging Face cache")->required();
  quantize->add_option("out", q->out, "with --to: the folder to write");
  const auto names = format_names();
  quantize->add_option("--to", q->to, "the format to write")->check(CLI::IsMember(std::vector<std::string>(names.begin() + 1, names.end())));
  quantize->add_flag("--report", q->reports, "bits, errors and their causes for every format, by tensor and in all");
  quantize->add_option("--formats", q->report.formats, "with --report: only these")->delimiter(',')->allow_extra_args(false);
  quantize->add_option("--block-size", q->report.block_sizes, "numbers in a block; several with --report: 64,128")->delimiter(',')->allow_extra_args(false)->capture_default_str();
  quantize->add_flag("--double-quantization", q->options.double_quantization, "the blocks' constants in 8 bits; with --report: these too");
  quantize->add_option("--clip", q->report.clips, "integer formats: none, percentile, mse; several with --report")->delimiter(',')->allow_extra_args(false)->capture_default_str();
  quantize->add_option("--skip-modules", q->options.skip_modules, "what stays in 16 bits")->delimiter(',')->allow_extra_args(false)->capture_default_str();
  quantize->add_option("--text", q->report.text, "with --report: measure perplexity and KL divergence on this text");
  quantize->add_option("--tokens", q->report.tokens, "... on so many of its tokens")->capture_default_str()->check(CLI::PositiveNumber);
  quantize->add_option("--report-folder", q->report_folder, "with --report: write report.json and report.html there");
  quantize->add_option("--device", q->report.device, "auto | cpu | cuda | cuda:N")->capture_default_str();
  quantize->add_option("--dtype", q->report.dtype, "with --text: auto | bf16 | fp16 | fp32")->capture_default_str();
}

}  // namespace graft::cli
