#include "model_writer.h"

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

fs::path unnumbered(const fs::path& folder, size_t index) { return folder / fmt::format(".shard-{:05}.safetensors", index); }

}  // namespace

void write_folder_aside(const fs::path& out, const std::function<void(const fs::path&)>& write) {
  require(!fs::exists(out) || (fs::is_directory(out) && fs::is_empty(out)), "{} exists and is not an empty folder", out.string());
  const fs::path full = fs::absolute(out), aside = full.parent_path() / ("." + full.filename().string() + ".writing");
  try {
    fs::remove_all(aside);
    fs::create_directories(aside);
    write(aside);
    fs::remove(full);   // an empty folder
    fs::rename(aside, full);
    sync_folder(full.parent_path());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    throw;
  }
}

void write_text_files(const fs::path& folder, const Base& base, const Json& config) {
  write_file(folder / "config.json", config.dump(2) + "\n");
  Json generation = base.files->generation_config();
  if (!generation.is_object()) generation = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (config.contains(key) && !config[key].is_null()) generation[key] = config[key];
  write_file(folder / "generation_config.json", generation.dump(2) + "\n");
  write_tokenizer(folder, base);
}

void write_tokenizer(const fs::path& folder, const Base& base) {
  write_file(folder / "tokenizer.json", base.tokenizer.to_json());
  Json tokenizer = base.tokenizer.config();
  if (!base.template_source.empty()) {
    tokenizer["chat_template"] = base.template_source;
    write_file(folder / "chat_template.jinja", base.template_source);
  }
  write_file(folder / "tokenizer_config.json", tokenizer.dump(2) + "\n");
}

void ShardedWriter::add(const TensorMap& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  if (bytes_ > 0 && bytes_ + bytes > max_bytes_) flush();
  tensors_.insert(tensors.begin(), tensors.end());
  bytes_ += bytes, total_ += bytes;
}

void ShardedWriter::flush() {
  save_tensors(unnumbered(folder_, files_.size()), tensors_, {{"format", "pt"}});
  files_.emplace_back();
  for (const auto& [name, tensor] : tensors_) files_.back().push_back(name);
  tensors_.clear();
  bytes_ = 0;
}

int64_t ShardedWriter::finish() {
  if (!tensors_.empty() || files_.empty()) flush();
  Json map = Json::object();
  for (size_t i = 0; i < files_.size(); ++i) {
    const std::string file = files_.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files_.size());
    fs::rename(unnumbered(folder_, i), folder_ / file);
    for (const auto& name : files_[i]) map[name] = file;
  }
  if (files_.size() > 1)
    write_file(folder_ / "model.safetensors.index.json", Json{{"metadata", {{"total_size", total_}}}, {"weight_map", map}}.dump(2) + "\n");
  return static_cast<int64_t>(files_.size());
}

}  // namespace graft
