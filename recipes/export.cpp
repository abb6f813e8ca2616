#include "export.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/atomic_file.h"
#include "graft/io/safetensors.h"
#include "graft/io/tensors.h"
#include "graft/models/quantized_files.h"
#include "graft/models/stored_task.h"
#include "graft/peft/adapter_file.h"
#include "loaders.h"
#include "model_writer.h"
#include "task.h"
#include "verify.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

struct Shard {
  std::vector<SafetensorsWriter::Entry> entries;
  int64_t bytes = 0;
};

at::ScalarType export_dtype(const std::string& name, const ModelFiles& files) {
  if (name == "fp16") return at::kHalf;
  if (name != "auto") return dtype_from_name(name, at::kCPU);
  const Json& config = files.config();
  const std::string stored = config.value("torch_dtype", config.value("dtype", std::string("bfloat16")));
  return stored == "float32" ? at::kFloat : stored == "float16" ? at::kHalf : at::kBFloat16;
}

/// Runs of the names whose tensors fit in a shard.
std::vector<Shard> plan_shards(const ModelFiles& files, const Merger& merger, const std::vector<std::string>& names, at::ScalarType dtype, int64_t limit) {
  std::vector<Shard> shards(1);
  for (const auto& name : names) {
    const auto shape = as_in_files(files.config(), name, at::empty(files.shape(merger.source_of(name)), at::TensorOptions(at::kMeta))).sizes().vec();
    int64_t bytes = static_cast<int64_t>(at::elementSize(dtype));
    for (const int64_t size : shape) bytes *= size;
    if (shards.back().bytes > 0 && shards.back().bytes + bytes > limit) shards.emplace_back();
    shards.back().entries.push_back({name, file_dtype(dtype), shape});
    shards.back().bytes += bytes;
  }
  return shards;
}

Json merged_config(const Base& base, at::ScalarType dtype, bool untied, const Log& log) {
  Json config = base.files->config();
  config.erase("quantization_config");
  config["torch_dtype"] = torch_name(dtype);
  if (config.contains("dtype")) config["dtype"] = torch_name(dtype);
  if (untied) config["tie_word_embeddings"] = false;
  std::vector<int32_t> ids = stop_ids(base);
  const Json before = config.value("eos_token_id", Json());
  const Json after = ids.size() == 1 ? Json(ids.front()) : Json(ids);
  if (!ids.empty() && before != after) {
    log.info("eos_token_id is {} (it was {}): the template's end of turn ends an answer", to_line(after), to_line(before));
    config["eos_token_id"] = after;
  }
  return config;
}

void write_weights(const fs::path& folder, const Json& config, Merger& merger, const std::vector<Shard>& shards, at::ScalarType dtype, MergeReport& report,
                   const std::stop_token& stop) {
  Json map = Json::object();
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    SafetensorsWriter out(folder / name, shards[i].entries, {{"format", "pt"}});
    for (const auto& entry : shards[i].entries) {
      if (stop.stop_requested()) throw Stopped("stopped while exporting; nothing was written");
      out.write(entry.name, bytes_of(as_in_files(config, entry.name, merger.tensor(entry.name, dtype)).contiguous()));
      map[entry.name] = name;
    }
    out.finish();
    total += shards[i].bytes;
  }
  report.shards = static_cast<int64_t>(shards.size());
  if (shards.size() > 1)
    write_file(folder / "model.safetensors.index.json", Json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n");
}

/// Codes and constants have sizes that only quantising tells: a file's tensors are held until it is full.
void write_quantized_weights(const fs::path& folder, const Json& config, Merger& merger, const std::vector<std::string>& names, at::ScalarType dtype, int64_t limit, MergeReport& report,
                             const std::stop_token& stop) {
  ShardedWriter out(folder, limit);
  for (const auto& name : names) {
    if (stop.stop_requested()) throw Stopped("stopped while exporting; nothing was written");
    out.add(merger.scheme(name) ? file_tensors(name, merger.quantized(name), dtype) : TensorMap{{name, as_in_files(config, name, merger.tensor(name, dtype))}});
  }
  report.shards = out.finish();
}

void report_merge(const MergeReport& report, const Merger& merger, const Target& target, const fs::path& out, const MergeOptions& options, at::ScalarType dtype,
                  const Log& log) {
  log.info("merged {} of {} tensors of {} into {} ({}, {} file(s))", report.merged, report.tensors, target.what, out.string(),
           options.into == MergeInto::requantized ? "quantised again" : dtype_to_name(dtype), report.shards);
  if (options.into == MergeInto::original) log.info("merged into the file's own weights; the adapter was trained on their quantised values, so results differ from the run's");
  if (!merger.survived().empty()) {
    const auto by_share = [](const auto& a, const auto& b) { return a.second < b.second; };
    const auto [worst, best] = std::minmax_element(merger.survived().begin(), merger.survived().end(), by_share);
    double mean = 0;
    for (const auto& [module, share] : merger.survived()) mean += share / static_cast<double>(merger.survived().size());
    log.info("of the update, quantising again left {:.1f} % on average; least {:.1f} % ({}), most {:.1f} % ({})", 100 * mean, 100 * worst->second, worst->first,
             100 * best->second, best->first);
  }
  if (options.verify) log_difference(report, log);
}

}  // namespace

MergeReport export_merged(const Target& target, const fs::path& out, const MergeOptions& options, const Log& log, std::stop_token stop) {
  Base base = open_base(target.model);
  const Task task = task_of(target, *base.files);
  base.files = open_headed_files(std::move(base.files), task);
  const at::ScalarType dtype = export_dtype(options.dtype, *base.files);
  Merger merger(target, *base.files, options.into);
  std::vector<std::string> names = base.files->tensor_names();
  if (merger.tied()) std::erase(names, "lm_head.weight");
  if (merger.unties_head()) names.push_back("lm_head.weight");
  MergeReport report;
  write_folder_aside(out, [&](const fs::path& aside) {
    Json config = with_stored_task(merged_config(base, dtype, merger.unties_head(), log), task);
    if (options.into == MergeInto::requantized) {
      const auto first = std::find_if(names.begin(), names.end(), [&](const std::string& name) { return merger.scheme(name).has_value(); });
      require(first != names.end(), "quantization.skip_modules leaves nothing to quantise");
      config["quantization_config"] = quantization_config(*merger.scheme(*first), dtype, target.quantization.skip_modules);
      write_quantized_weights(aside, config, merger, names, dtype, options.max_shard_bytes, report, stop);
    } else {
      write_weights(aside, config, merger, plan_shards(*base.files, merger, names, dtype, options.max_shard_bytes), dtype, report, stop);
    }
    write_text_files(aside, base, config);
    if (!merger.survived().empty()) write_file(aside / "merge_report.json", Json{{"update_left", merger.survived()}}.dump(2) + "\n");
    merger.check_effect();
    if (options.verify) static_cast<MergeDifference&>(report) = difference_from_live(target, base, *open_folder_files(aside.string()), dtype, stop);
  });
  report.tensors = merger.tensors(), report.merged = merger.merged();
  report_merge(report, merger, target, out, options, dtype, log);
  return report;
}

void export_adapter(const Target& target, const fs::path& out, const Log& log) {
  require(target.adapter.has_value(), "{} has no adapter to export", target.what);
  const Base base = open_base(target.model);
  const auto outline = outline_model(*base.files, task_of(target, *base.files));
  const std::string name = seat_target(*outline, target, {});
  write_adapter(out, *outline, name, *target.adapter, target.model.path);
  if (!target.model.new_tokens.empty()) write_tokenizer(out, base);
  log.info("the adapter of {} is in {} (PEFT's format)", target.what, out.string());
  log_loaders(loaders_of(target, base.files->config(), *outline, name), log);
}

}  // namespace graft
