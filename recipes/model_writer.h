#pragma once
// A model's folder on disk, as export and quantize write it.
#include <filesystem>
#include <functional>

#include "graft/core/tensor.h"
#include "session.h"

namespace graft {

/// Calls `write` with a folder aside, then puts it in `out`'s place: the folder appears whole or not at all. `out` may be an empty folder.
void write_folder_aside(const std::filesystem::path& out, const std::function<void(const std::filesystem::path&)>& write);

/// config.json, generation_config.json, the tokenizer and the chat template.
void write_text_files(const std::filesystem::path& folder, const Base& base, const Json& config);
void write_tokenizer(const std::filesystem::path& folder, const Base& base);

/// model.safetensors, or numbered files and their index once a file passes the limit. Holds one file's tensors at a time.
class ShardedWriter {
 public:
  ShardedWriter(std::filesystem::path folder, int64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  void add(const TensorMap& tensors);
  /// Writes what is left; returns the number of files.
  int64_t finish();

 private:
  void flush();
  std::filesystem::path folder_;
  int64_t max_bytes_, bytes_ = 0, total_ = 0;
  TensorMap tensors_;
  std::vector<std::vector<std::string>> files_;   // the names in each
};

}  // namespace graft
