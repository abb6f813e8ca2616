// Files under the names that their models have with a head, whoever wrote them: a model saved without a head leaves the prefix out
// ("encoder.layer.0...", "h.0..."), files converted from TensorFlow call a norm's weight and bias gamma and beta, and GPT-2's hold causal masks.
#include <algorithm>
#include <map>

#include "forwarding_files.h"
#include "graft/models/family.h"

namespace graft {
namespace {

constexpr std::string_view roots[] = {"embeddings.", "encoder.", "pooler.", "wte.", "wpe.", "h.", "ln_f."};

void replace_end(std::string& name, std::string_view end, std::string_view with) {
  if (name.ends_with(end)) name.replace(name.size() - end.size(), end.size(), with);
}

std::string renamed(std::string name, std::string_view prefix) {
  replace_end(name, "LayerNorm.gamma", "LayerNorm.weight");
  replace_end(name, "LayerNorm.beta", "LayerNorm.bias");
  const bool of_base = std::ranges::any_of(roots, [&](std::string_view root) { return name.starts_with(root); });
  return of_base ? std::string(prefix) + name : name;
}

bool is_mask(std::string_view name) { return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"); }

class RenamedFiles : public ForwardingFiles {
 public:
  RenamedFiles(std::unique_ptr<ModelFiles> files, std::string_view prefix) : ForwardingFiles(std::move(files)) {
    for (const auto& name : files_->tensor_names()) {
      if (is_mask(name)) continue;
      names_.push_back(renamed(name, prefix));
      in_file_.emplace(names_.back(), name);
    }
  }
  const std::vector<std::string>& tensor_names() const override { return names_; }
  bool contains(const std::string& name) const override { return in_file_.contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return files_->shape(in_file(name)); }
  Tensor read(const std::string& name, at::ScalarType dtype) const override { return files_->read(in_file(name), dtype); }
  at::ScalarType stored_dtype(const std::string& name) const override { return files_->stored_dtype(in_file(name)); }
  std::optional<Scheme> stored_scheme(const std::string& name) const override { return files_->stored_scheme(in_file(name)); }
  QuantizedTensor read_quantized(const std::string& name) const override { return files_->read_quantized(in_file(name)); }

 private:
  const std::string& in_file(const std::string& name) const {
    const auto it = in_file_.find(name);
    return it == in_file_.end() ? name : it->second;   // the files say what is missing
  }
  std::vector<std::string> names_;
  std::map<std::string, std::string> in_file_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_renamed_files(std::unique_ptr<ModelFiles> files) {
  for (const Family* family : families())
    if (!family->optional_prefix.empty() && files->config().value("model_type", Json()) == family->name)
      return std::make_unique<RenamedFiles>(std::move(files), family->optional_prefix);
  return files;
}

}  // namespace graft
