#pragma once
// ModelFiles over others: what a kind of its own changes, it overrides.
#include "graft/models/model_files.h"

namespace graft {

class ForwardingFiles : public ModelFiles {
 public:
  explicit ForwardingFiles(std::unique_ptr<ModelFiles> files) : files_(std::move(files)) {}
  const std::string& where() const override { return files_->where(); }
  const Json& config() const override { return files_->config(); }
  const std::vector<std::string>& tensor_names() const override { return files_->tensor_names(); }
  bool contains(const std::string& name) const override { return files_->contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return files_->shape(name); }
  Tensor read(const std::string& name, at::ScalarType dtype) const override { return files_->read(name, dtype); }
  at::ScalarType stored_dtype(const std::string& name) const override { return files_->stored_dtype(name); }
  std::optional<Scheme> stored_scheme(const std::string& name) const override { return files_->stored_scheme(name); }
  QuantizedTensor read_quantized(const std::string& name) const override { return files_->read_quantized(name); }
  Tokenizer tokenizer() const override { return files_->tokenizer(); }
  std::string chat_template() const override { return files_->chat_template(); }
  Json generation_config() const override { return files_->generation_config(); }
  int64_t file_bytes() const override { return files_->file_bytes(); }
  std::vector<std::filesystem::path> weight_files() const override { return files_->weight_files(); }

 protected:
  std::unique_ptr<ModelFiles> files_;
};

}  // namespace graft
