#include "export.h"

#include <ATen/ATen.h>

#include <set>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/atomic_file.h"
#include "graft/io/safetensors.h"
#include "graft/io/tensors.h"
#include "graft/peft/adapter_file.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr const char* sample_text =
    "The quick brown fox jumps over the lazy dog. In 1969, three people flew to the Moon; 2 + 2 = 4, and def f(x): return x * x.";

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

std::string transformers_name(at::ScalarType dtype) { return dtype == at::kFloat ? "float32" : dtype == at::kHalf ? "float16" : "bfloat16"; }

/// Runs of the names whose tensors fit in a shard.
std::vector<Shard> plan_shards(const ModelFiles& files, const std::vector<std::string>& names, at::ScalarType dtype, int64_t limit) {
  std::vector<Shard> shards(1);
  for (const auto& name : names) {
    const auto shape = files.shape(name == "lm_head.weight" && !files.contains(name) ? "model.embed_tokens.weight" : name);
    int64_t bytes = static_cast<int64_t>(at::elementSize(dtype));
    for (const int64_t size : shape) bytes *= size;
    if (shards.back().bytes > 0 && shards.back().bytes + bytes > limit) shards.emplace_back();
    shards.back().entries.push_back({name, file_dtype(dtype), shape});
    shards.back().bytes += bytes;
  }
  return shards;
}

/// One tensor of the merged model, rounded once.
class Merger {
 public:
  Merger(const Target& target, const ModelFiles& files, const Log& log) : files_(files), outline_(outline_model(files)) {
    adapter_ = seat_target(*outline_, target, log);
  }
  bool unties_head() const { return outline_->tied_head() && outline_->head().adapter(adapter_); }
  bool tied() const { return outline_->tied_head(); }

  Tensor tensor(const std::string& name, at::ScalarType dtype, MergeReport& report) {
    const bool untied_copy = name == "lm_head.weight" && outline_->tied_head();
    const std::string stored = untied_copy ? "model.embed_tokens.weight" : name;
    const size_t dot = name.rfind('.');
    const Site* site = outline_->find_site(name.substr(0, dot));
    const auto adapter = site && !adapter_.empty() && name.ends_with(".weight") ? site->adapter(adapter_) : nullptr;
    ++report.tensors;
    if (!adapter) return files_.read(stored, dtype);
    const Tensor base = files_.read(stored, at::kFloat);
    const auto merged = adapter->merged({base, Tensor()});
    check(merged.has_value(), "{}: this adapter cannot be merged", name);
    check(at::isfinite(merged->weight).all().item<bool>(), "{}: the merged tensor is not finite; nothing was written", name);
    const Tensor rounded = merged->weight.to(dtype);
    changed_ = changed_ || !at::equal(rounded, base.to(dtype));
    nonzero_ = nonzero_ || !at::equal(merged->weight, base);
    ++report.merged;
    return rounded;
  }

  /// An adapter that is not zero must have changed something that is stored.
  void check_effect() const {
    check(changed_ || !nonzero_, "the adapter is not zero, but no stored value changed: it is too small for this dtype; export in fp32");
  }
  bool changed() const { return changed_; }

 private:
  const ModelFiles& files_;
  std::shared_ptr<LanguageModel> outline_;
  std::string adapter_;
  bool changed_ = false, nonzero_ = false;
};

Json merged_config(const Base& base, at::ScalarType dtype, bool untied, const Log& log) {
  Json config = base.files->config();
  config.erase("quantization_config");
  config["torch_dtype"] = transformers_name(dtype);
  if (config.contains("dtype")) config["dtype"] = transformers_name(dtype);
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

void write_text_files(const fs::path& folder, const Base& base, const Json& config) {
  write_file(folder / "config.json", config.dump(2) + "\n");
  Json generation = base.files->generation_config();
  if (!generation.is_object()) generation = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (config.contains(key) && !config[key].is_null()) generation[key] = config[key];
  write_file(folder / "generation_config.json", generation.dump(2) + "\n");
  write_file(folder / "tokenizer.json", base.tokenizer.to_json());
  Json tokenizer = base.tokenizer.config();
  if (!base.template_source.empty()) {
    tokenizer["chat_template"] = base.template_source;
    write_file(folder / "chat_template.jinja", base.template_source);
  }
  write_file(folder / "tokenizer_config.json", tokenizer.dump(2) + "\n");
}

void write_weights(const fs::path& folder, Merger& merger, const std::vector<Shard>& shards, at::ScalarType dtype, MergeReport& report,
                   const std::stop_token& stop) {
  Json map = Json::object();
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    SafetensorsWriter out(folder / name, shards[i].entries, {{"format", "pt"}});
    for (const auto& entry : shards[i].entries) {
      if (stop.stop_requested()) throw Stopped("stopped while exporting; nothing was written");
      out.write(entry.name, bytes_of(merger.tensor(entry.name, dtype, report).contiguous()));
      map[entry.name] = name;
    }
    out.finish();
    total += shards[i].bytes;
  }
  report.shards = static_cast<int64_t>(shards.size());
  if (shards.size() > 1)
    write_file(folder / "model.safetensors.index.json", Json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n");
}

Tensor sample_logits(const ModelFiles& files, const Target* target, const std::vector<int32_t>& ids, at::ScalarType dtype, const Log& log,
                     const std::stop_token& stop) {
  at::NoGradGuard no_grad;
  const auto model = load_model(files, at::kCPU, dtype, {}, stop);
  Batch batch;
  batch.ids = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
  batch.positions = at::arange(batch.ids.size(1), at::kLong).unsqueeze(0);
  batch.segments = at::zeros_like(batch.ids);
  if (target) batch.adapter = seat_target(*model, *target, log);
  return logits(*model, batch)[0];
}

void verify(const Target& target, const Base& base, const fs::path& merged, at::ScalarType dtype, MergeReport& report, const std::stop_token& stop) {
  const auto ids = base.tokenizer.encode(sample_text, {.add_special_tokens = true});
  // In fp32 the difference is the stored rounding alone; a large model is compared in its own type, which fits where it was trained.
  const bool small = base.files->file_bytes() < (int64_t{4} << 30);
  const at::ScalarType compute = small || dtype == at::kHalf ? at::kFloat : dtype;
  const Tensor live = sample_logits(*base.files, &target, ids, compute, {}, stop);
  const Tensor stored = sample_logits(*open_folder_files(merged.string()), nullptr, ids, compute, {}, stop);
  report.largest_difference = (live - stored).abs().max().item<double>();
  report.argmax_agreement = live.argmax(-1).eq(stored.argmax(-1)).to(at::kDouble).mean().item<double>();
}

}  // namespace

MergeReport export_merged(const Target& target, const fs::path& out, const MergeOptions& options, const Log& log, std::stop_token stop) {
  require(!fs::exists(out) || (fs::is_directory(out) && fs::is_empty(out)), "{} exists and is not an empty folder", out.string());
  const Base base = open_base(target.model);
  const at::ScalarType dtype = export_dtype(options.dtype, *base.files);
  Merger merger(target, *base.files, {});
  std::vector<std::string> names = base.files->tensor_names();
  if (merger.tied()) std::erase(names, "lm_head.weight");
  if (merger.unties_head()) names.push_back("lm_head.weight");
  const fs::path full = fs::absolute(out), aside = full.parent_path() / ("." + full.filename().string() + ".writing");
  MergeReport report;
  try {
    fs::remove_all(aside);
    fs::create_directories(aside);
    write_text_files(aside, base, merged_config(base, dtype, merger.unties_head(), log));
    write_weights(aside, merger, plan_shards(*base.files, names, dtype, options.max_shard_bytes), dtype, report, stop);
    merger.check_effect();
    if (options.verify) verify(target, base, aside, dtype, report, stop);
    fs::remove(full);   // an empty folder
    fs::rename(aside, full);
    sync_folder(full.parent_path());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    throw;
  }
  log.info("merged {} of {} tensors of {} into {} ({}, {} file(s))", report.merged, report.tensors, target.what, out.string(),
           dtype_to_name(dtype), report.shards);
  if (options.verify)
    log.info("against the live adapter on sample text: largest difference of a logit {:.2g}, same likeliest token at {:.1f} % of positions",
             report.largest_difference, 100 * report.argmax_agreement);
  return report;
}

void export_adapter(const Target& target, const fs::path& out, const Log& log) {
  require(target.adapter.has_value(), "{} has no adapter to export", target.what);
  const auto files = open_model_files(target.model.path);
  const auto outline = outline_model(*files);
  const std::string name = seat_target(*outline, target, {});
  write_adapter(out, *outline, name, *target.adapter, target.model.path);
  log.info("the adapter of {} is in {} (PEFT's format)", target.what, out.string());
}

}  // namespace graft
