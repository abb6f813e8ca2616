// A Hugging Face folder as ModelFiles.
#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/io/model_folder.h"
#include "graft/io/tensors.h"
#include "graft/models/model_files.h"

namespace graft {
namespace {

class FolderFiles : public ModelFiles {
 public:
  explicit FolderFiles(const std::string& folder) : folder_(folder), where_(folder) {}
  const std::string& where() const override { return where_; }
  const Json& config() const override { return folder_.config(); }
  const std::vector<std::string>& tensor_names() const override { return folder_.tensor_names(); }
  bool contains(const std::string& name) const override { return folder_.contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return folder_.tensor(name).shape; }
  Tensor read(const std::string& name, at::ScalarType dtype) const override { return to_tensor(folder_.tensor(name), dtype); }
  at::ScalarType stored_dtype(const std::string& name) const override { return scalar_type(folder_.tensor(name).dtype); }
  Tokenizer tokenizer() const override { return Tokenizer::from_json(folder_.tokenizer_json(), folder_.tokenizer_config()); }
  std::string chat_template() const override { return folder_.chat_template(); }
  Json generation_config() const override { return folder_.generation_config(); }
  std::vector<std::filesystem::path> weight_files() const override { return folder_.weight_files(); }
  int64_t file_bytes() const override {
    int64_t bytes = 0;
    for (const auto& name : tensor_names()) bytes += static_cast<int64_t>(folder_.tensor(name).bytes.size());
    return bytes;
  }

 private:
  ModelFolder folder_;
  std::string where_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_folder_files(const std::string& folder) {
  std::unique_ptr<ModelFiles> files = std::make_unique<FolderFiles>(folder);
  if (files->config().contains("quantization_config")) files = open_quantized_files(std::move(files));
  return open_transposed_files(open_renamed_files(std::move(files)));
}

std::unique_ptr<ModelFiles> open_model_files(const std::string& path) {
  const auto found = resolve_model(path);
  return found.extension() == ".gguf" ? open_gguf_files(found.string()) : open_folder_files(found.string());
}

QuantizedTensor ModelFiles::read_quantized(const std::string& name) const { fail("{}: {} is not quantised", where(), name); }

uint64_t ModelFiles::fingerprint() const {
  Hash hash;
  hash.add(to_line(config()));
  for (const auto& name : tensor_names()) {
    hash.add(name);
    for (const int64_t size : shape(name)) hash.add(static_cast<uint64_t>(size));
  }
  // The smallest and the first tensors' bytes: a fine-tune of the same shape differs there too.
  std::vector<std::string> samples(tensor_names().begin(), tensor_names().end());
  const auto bytes = [&](const std::string& name) {
    int64_t count = 1;
    for (const int64_t size : shape(name)) count *= size;
    return count;
  };
  std::stable_sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return bytes(a) < bytes(b); });
  for (size_t i = 0; i < samples.size() && i < 8; ++i) {
    const Tensor values = read(samples[i], at::kFloat).contiguous();
    hash.add(std::string_view(static_cast<const char*>(values.const_data_ptr()), std::min<size_t>(values.nbytes(), 1 << 20)));
  }
  return hash.value();
}

}  // namespace graft
