#include "export_gguf.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "graft/models/gguf_export.h"
#include "graft/text/gguf_tokenizer.h"
#include "task.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

struct StoredType {
  std::string_view name;
  uint32_t type;        // ggml's number
  uint32_t file_type;   // general.file_type
  uint32_t vocabulary;  // the type of the embedding and the head
  uint32_t wider;       // for rows that are no whole blocks
};
constexpr StoredType types[] = {{"f32", ggml_f32, 0, ggml_f32, ggml_f32},      {"f16", ggml_f16, 1, ggml_f16, ggml_f16},
                                {"bf16", ggml_bf16, 32, ggml_bf16, ggml_bf16}, {"q8_0", ggml_q8_0, 7, ggml_q8_0, ggml_f16},
                                {"q4_0", ggml_q4_0, 2, ggml_q8_0, ggml_f16},   {"q4_k", ggml_q4_k, 14, ggml_q8_0, ggml_q8_0}};

const StoredType& stored_type(std::string_view name) { return *std::ranges::find(types, name, &StoredType::name); }
const StoredType& stored_type(uint32_t type) { return *std::ranges::find(types, type, &StoredType::type); }

bool stays_in_fp32(const std::string& name, const std::vector<int64_t>& shape) {
  return shape.size() < 2 || name.ends_with("norm.weight") || name.starts_with("position_embd");
}

/// The tensor's type by the rule in the header.
uint32_t type_of(const std::string& name, const std::vector<int64_t>& shape, const StoredType& wanted, GgufReport& report) {
  if (stays_in_fp32(name, shape)) return ggml_f32;
  const uint32_t first = name == "token_embd.weight" || name == "output.weight" ? wanted.vocabulary : wanted.type;
  uint32_t type = first;
  while (shape.back() % static_cast<int64_t>(ggml_block_size(type)) != 0) type = stored_type(type).wider;
  if (type != first) ++report.fallbacks[std::string(stored_type(type).name)];
  return type;
}

/// Blocks of an fp32 tensor; rows are shared among threads.
std::vector<std::byte> blocks_of(const Tensor& tensor, const GgufWriter::Entry& entry) {
  const Tensor values = tensor.to(at::kFloat).contiguous();
  const auto block = static_cast<int64_t>(ggml_block_size(entry.type)), count = values.numel() / block;
  const size_t bytes = ggml_bytes(entry.type, static_cast<size_t>(block));
  std::vector<std::byte> out(static_cast<size_t>(count) * bytes);
  const float* data = values.const_data_ptr<float>();
  at::parallel_for(0, count, 4096, [&](int64_t begin, int64_t end) {
    const auto first = static_cast<size_t>(begin), blocks = static_cast<size_t>(end - begin);
    quantize(entry.type, {data + begin * block, blocks * static_cast<size_t>(block)},
             std::span(out).subspan(first * bytes, blocks * bytes));
  });
  return out;
}

/// A half ends at 65504; what is past it would become infinite.
void check_values(const Tensor& tensor, const GgufWriter::Entry& entry) {
  const int64_t wrong = tensor.numel() - at::isfinite(tensor).sum().item<int64_t>();
  require(wrong == 0, "{}: {} of its {} values are not finite; nothing was written", entry.name, wrong, tensor.numel());
  if (entry.type != ggml_f16 || tensor.numel() == 0) return;
  const double largest = tensor.abs().max().item<double>();
  require(largest < 65520, "{}: its largest value, {:.3g}, does not fit f16; export with --type bf16 or f32", entry.name,
          largest);
}

/// Its own keys where the base is a GGUF: as they lie, byte for byte.
std::vector<GgufKey> tokenizer_keys(const Base& base, int64_t rows) {
  std::vector<GgufKey> keys;
  const GgufFile* gguf = base.files->gguf();
  if (gguf) {
    for (const auto& [name, bytes] : gguf->raw_keys())
      if (name.starts_with("tokenizer.")) keys.push_back({name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  } else {
    keys = gguf_tokenizer_keys(base.tokenizer, rows);
  }
  const auto has = [&](std::string_view name) { return std::ranges::find(keys, name, &GgufKey::name) != keys.end(); };
  if (base.template_source != base.files->chat_template() && has("tokenizer.chat_template"))
    std::erase_if(keys, [](const GgufKey& key) { return key.name == "tokenizer.chat_template"; });
  if (!base.template_source.empty() && !has("tokenizer.chat_template"))
    keys.push_back(gguf_key("tokenizer.chat_template", base.template_source));
  const auto end = end_of_turn(base);
  if (end && end != base.tokenizer.eos() && !has("tokenizer.ggml.eot_token_id"))
    keys.push_back(gguf_key("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(*end)));
  return keys;
}

std::vector<GgufKey> keys_of(const Target& target, const Base& base, const GgufModel& model, const StoredType& type) {
  std::vector<GgufKey> keys = {
      gguf_key("general.architecture", model.family.gguf_architecture), gguf_key("general.type", "model"),
      gguf_key("general.name", fs::path(target.model.path).stem().string()), gguf_key("general.file_type", type.file_type),
      gguf_key("general.quantization_version", uint32_t{2})};
  std::ranges::move(gguf_shape_keys(model), std::back_inserter(keys));
  std::ranges::move(tokenizer_keys(base, model.shape.vocab_size), std::back_inserter(keys));
  return keys;
}

/// transformers' names of what the file holds, in the files' order.
std::vector<std::string> names_of(const ModelFiles& files, const Merger& merger, const GgufModel& model) {
  std::vector<std::string> names = files.tensor_names();
  std::erase(names, "lm_head.weight");
  const bool own = !merger.tied() || merger.unties_head();
  require(!own || model.form.head != GgufHead::tied,
          "the adapter gives the head weights of its own; llama.cpp's {} has a tied head only", model.family.name);
  if (own || model.form.head == GgufHead::own) names.push_back("lm_head.weight");
  return names;
}

/// A tied head that the file has apart is the embedding, with what the adapter did to it.
Tensor merged_tensor(Merger& merger, const GgufModel& model, const std::string& name) {
  return gguf_tensor(model, name, merger.tensor(merger.unties_head() ? name : merger.source_of(name), at::kFloat));
}

/// The model that a reader makes of the keys is the model that they were made of.
void check_keys(const GgufModel& model, const Base& base, const fs::path& aside) {
  const auto written = open_gguf_files(aside.string());
  const auto outline = outline_model(written->config());
  const auto differences = gguf_differences(model.shape, GgufModel(written->config(), *outline).shape);
  require(differences.empty(),
          "a GGUF cannot say everything of this {}: {} would be different; export a Hugging Face folder (--merged)",
          model.family.name, fmt::join(differences, ", "));
  if (!base.files->gguf()) check_same_ids(base.tokenizer, written->tokenizer());
}

void log_export(const GgufReport& report, const Target& target, const fs::path& file, const GgufOptions& options,
                const Log& log) {
  log.info("merged {} of {} tensors of {} into {} ({})", report.merged, report.tensors, target.what, file.string(), options.type);
  for (const auto& [type, count] : report.fallbacks)
    log.warn("{} matrices are stored in {}: their rows are no whole blocks of {}", count, type, options.type);
  if (options.verify) log_difference(report, log);
}

}  // namespace

std::vector<std::string> gguf_type_names() {
  std::vector<std::string> names;
  for (const StoredType& type : types) names.emplace_back(type.name);
  return names;
}

void check_gguf_place(const fs::path& file, const Target& target) {
  require(!fs::is_directory(file), "{} is a folder; a GGUF export names the file to write", file.string());
  std::error_code none;
  require(!fs::equivalent(file, target.model.path, none), "{} is the base of {}; choose another name", file.string(),
          target.what);
}

GgufReport export_gguf(const Target& target, const fs::path& file, const GgufOptions& options, const Log& log,
                       std::stop_token stop) {
  require(options.into != MergeInto::requantized,
          "--into requantized: a GGUF has block types of its own; choose one with --type");
  check_gguf_place(file, target);
  const Base base = open_base(target.model);
  const ModelFiles& files = *base.files;
  Merger merger(target, files, options.into);
  const GgufModel model(files.config(), merger.outline());
  const StoredType& type = stored_type(options.type);
  GgufReport report;
  const TensorMap rope = gguf_rope_tensors(model.shape);
  const std::vector<std::string> names = names_of(files, merger, model);
  std::vector<GgufWriter::Entry> entries;
  for (const auto& [name, tensor] : rope) entries.push_back({name, ggml_f32, tensor.sizes().vec()});
  for (const std::string& name : names) {
    const std::string stored = gguf_name(model.form, name);
    const auto shape = files.shape(merger.source_of(name));
    entries.push_back({stored, type_of(stored, shape, type, report), shape});
  }
  GgufWriter out(file, keys_of(target, base, model, type), entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (stop.stop_requested()) throw Stopped("stopped while exporting; nothing was written");
    if (i == rope.size()) check_keys(model, base, out.aside());  // before the weights, which take long
    const bool is_rope = i < rope.size();
    const Tensor tensor = is_rope ? rope.at(entries[i].name) : merged_tensor(merger, model, names[i - rope.size()]);
    check_values(tensor, entries[i]);
    out.write(entries[i].name, blocks_of(tensor, entries[i]));
  }
  merger.check_effect();
  if (options.verify)
    static_cast<MergeDifference&>(report) =
        difference_from_live(target, base, *open_gguf_files(out.aside().string()), at::kBFloat16, stop);
  out.finish();
  report.tensors = merger.tensors(), report.merged = merger.merged();
  log_export(report, target, file, options, log);
  return report;
}

}  // namespace graft
