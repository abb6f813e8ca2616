#include "describe.h"

#include <bit>
#include <filesystem>

#include "generate.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/gguf.h"
#include "graft/io/safetensors.h"
#include "graft/models/stored_task.h"
#include "graft/peft/adapter_file.h"
#include "graft/train/checkpoint.h"
#include "graft/train/evaluate.h"
#include "jobs.h"
#include "session.h"
#include "task.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::string count_text(int64_t parameters) {
  return parameters >= 1'000'000'000 ? fmt::format("{:.2f} B", static_cast<double>(parameters) / 1e9) : fmt::format("{:.1f} M", static_cast<double>(parameters) / 1e6);
}

std::string inspect_model(const std::string& path, bool tensors) {
  const auto files = open_model_files(path);
  int64_t parameters = 0;
  std::string list;
  for (const auto& name : files->tensor_names()) {
    const auto shape = files->shape(name);
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    parameters += count;
    if (tensors) list += fmt::format("  {}  [{}]\n", name, fmt::join(shape, ", "));
  }
  const Family& family = family_of(files->config());
  const auto outline = outline_model(*files, stored_task(files->config()));
  std::string text = fmt::format("{}\n  family {}: {}\n  {} parameters, {:.2f} GiB on disk\n", files->where(), family.name, outline->describe(), count_text(parameters),
                                 static_cast<double>(files->file_bytes()) / (1 << 30));
  const Tokenizer tokenizer = files->tokenizer();
  const auto name_of = [&](std::optional<int32_t> id) { return id ? fmt::format("{} ({})", tokenizer.id_to_token(*id), *id) : std::string("none"); };
  text += fmt::format("  tokenizer: {} tokens, bos {}, eos {}, pad {}; chat template: {}\n", tokenizer.vocab_size(), name_of(tokenizer.bos()),
                      name_of(tokenizer.eos()), name_of(tokenizer.pad()), files->chat_template().empty() ? "none" : "yes");
  const auto scheme = storage_of(*files, {}, outline->first_site(SiteKind::linear)->path());
  return text + "  the weights fit the config" + (scheme ? "; they are kept as " + describe(*scheme) : "") + "\n" + list;
}

std::string indented(const std::string& text) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    out += "  " + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out;
}

std::string inspect_adapter(const fs::path& folder, bool tensors) {
  const AdapterOptions options = read_adapter_options(folder);
  const TensorMap values = read_adapter_tensors(folder);
  int64_t parameters = 0;
  std::string list;
  for (const auto& [name, tensor] : values) {
    parameters += tensor.numel();
    if (tensors) list += fmt::format("  {}  [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  const Json config = read_json(folder / "adapter_config.json");
  std::string text = fmt::format("{}\n  {} adapter, {} parameters in {} tensors, base {}\n", folder.string(), options.method,
                                 count_text(parameters), values.size(), to_line(config.value("base_model_name_or_path", Json())));
  text += indented(to_yaml(options));
  return text + list;
}

std::string inspect_run(const fs::path& run) {
  const Job job = read_run_job(run);
  const CheckpointFolder checkpoints(run / "checkpoints");
  std::string text = fmt::format("{}\n  {} on {}\n", run.string(), job.adapter.method, job.model.path);
  for (const int64_t step : checkpoints.steps()) try {
      const TrainState state = checkpoints.read(step).state;
      text += fmt::format("  step {}: epoch {}, {} skipped{}\n", step, state.cursor.epoch, state.skipped,
                          state.best && state.best_step == step ? ", best" : "");
    } catch (const RequestError& e) {
      text += fmt::format("  {}\n", e.what());
    }
  return text + (fs::exists(run / "adapter") ? "  finished: the adapter is in adapter/\n" : "  not finished\n");
}

/// A labelled sample's tokens, and its label or theirs.
std::string labelled_text(const SampleView& sample, const Task& task, const Tokenizer& tokenizer) {
  const auto name = [&](int32_t label) {
    return task.kind == TaskKind::regression ? fmt::format("{}", std::bit_cast<float>(label)) : task.labels[static_cast<size_t>(label)];
  };
  if (task.labels_texts()) return fmt::format("{} [[{}]]", tokenizer.decode(sample.ids), name(sample.labels[0]));
  std::string text;
  for (size_t t = 0; t < sample.ids.size(); ++t) {
    text += fmt::format("{} ", tokenizer.id_to_token(sample.ids[t]));
    if (sample.labels[t] != no_label) text += fmt::format("[[{}]] ", name(sample.labels[t]));
  }
  return text;
}

std::string label_report(const Target& target, const EvalReport& report) {
  std::string text = fmt::format("{}\n  samples {}  labels {}\n  loss {:.5f}\n", target.what, report.samples, report.targets, report.loss);
  for (const auto& [name, value] : report.metrics) text += fmt::format("  {} {:.5f}\n", name, value);
  return text;
}

std::string inspect_safetensors(const fs::path& file, bool tensors) {
  const SafetensorsFile in(file);
  size_t bytes = 0;
  std::string list;
  for (const auto& name : in.names()) {
    const TensorView& view = in.tensor(name);
    bytes += view.bytes.size();
    if (tensors) list += fmt::format("  {}  {} [{}]\n", name, dtype_name(view.dtype), fmt::join(view.shape, ", "));
  }
  return fmt::format("{}\n  {} tensors, {} bytes\n", file.string(), in.names().size(), bytes) + list;
}

}  // namespace

std::string inspect(const std::string& path, bool tensors) {
  if (fs::exists(fs::path(path) / "adapter_config.json")) return inspect_adapter(path, tensors);
  if (is_run_folder(path)) return inspect_run(path);
  if (const auto runs = adapter_runs(path); !runs.empty()) {
    std::string text;
    for (const auto& [name, run] : runs) text += inspect_run(run);
    return text;
  }
  if (fs::exists(fs::path(path) / "manifest.json")) return inspect_safetensors(fs::path(path) / "adapter.safetensors", tensors);
  if (fs::path(path).extension() == ".safetensors") return inspect_safetensors(path, tensors);
  return inspect_model(path, tensors);
}

std::string show_samples(const Job& job, int64_t count, const Log& log) {
  const Base base = open_base(job.model);
  const auto outline = outline_model(*base.files, task_of_job(job, *base.files));
  const PreparedData data = prepare_for(base, *outline, job.data, virtual_tokens_of(job.adapter), log);
  std::string text;
  for (int64_t i = 0; i < std::min(count, data.train.size()); ++i) {
    const SampleView sample = data.train.sample(i);
    text += fmt::format("sample {} from {}: {} tokens, {} learnt\n", i, data.train.origin(i), sample.ids.size(), data.train.target_count(i));
    if (!sample.labels.empty()) text += labelled_text(sample, outline->task(), base.tokenizer);
    for (size_t t = 0; t < sample.learn.size();) {   // runs of tokens with the same mask
      size_t end = t;
      while (end < sample.ids.size() && sample.learn[end] == sample.learn[t]) ++end;
      const std::string piece = base.tokenizer.decode(sample.ids.subspan(t, end - t));
      text += sample.learn[t] ? "[[" + piece + "]]" : piece;
      t = end;
    }
    text += "\nids:";
    for (const int32_t id : sample.ids) text += fmt::format(" {}", id);
    text += "\n\n";
  }
  return text;
}

DataOptions held_out_data(const std::string& run) {
  require(is_run_folder(run), "evaluate: name at least one file ({} is a model, not a run with held-out data)", run);
  DataOptions options = read_run_job(run).data;
  require(!options.val.empty(), "{}: the run has no data.val; name files to evaluate on", run);
  options.train = std::exchange(options.val, {});
  return options;
}

std::string evaluate_target(const Target& target, const DataOptions& options, const std::string& device, const std::string& dtype,
                            int64_t batch_size, const Log& log, std::stop_token stop) {
  Speaker speaker = open_speaker(target, device, dtype, log, stop);
  DataOptions fitting = options;
  if (speaker.model->task().kind != TaskKind::causal_lm) fitting.overlong = "truncate";
  const PreparedData data = prepare_for(speaker.base, *speaker.model, fitting, virtual_tokens_of(target.adapter), log, stop);
  const EvalReport report = evaluate_loss(*speaker.model, speaker.adapter, data.train, batch_size, stop);
  if (!report.metrics.empty()) return label_report(target, report);
  std::string text = fmt::format("{}\n  samples {}  target tokens {}\n  loss {:.5f}  perplexity {:.4f}  token accuracy {:.2f} %\n", target.what,
                                 report.samples, report.targets, report.loss, report.perplexity, 100 * report.token_accuracy);
  const auto prompts = read_prompts(options.train, options, speaker.base.tokenizer, chat_or_null(speaker.base));
  if (const auto labels = find_labels(prompts); !labels.empty())
    text += fmt::format("  accuracy {:.2f} % of {} samples, {} labels\n",
                        100 * label_accuracy(*speaker.model, speaker.adapter, prompts, labels, batch_size, stop), prompts.size(), labels.size());
  return text;
}

}  // namespace graft
