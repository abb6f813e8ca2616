// A GGUF file as ModelFiles: its keys become a config.json, its names Hugging Face's, its blocks fp32 on the way.
#include <ATen/ATen.h>

#include <filesystem>
#include <map>

#include "graft/core/error.h"
#include "graft/io/gguf.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"
#include "graft/models/model_files.h"

namespace graft {
namespace {

const Family& family_of_architecture(const std::string& architecture) {
  std::vector<std::string_view> known;
  for (const Family* family : families()) {
    if (!family->gguf_architecture.empty() && family->gguf_architecture == architecture) return *family;
    if (!family->gguf_architecture.empty() && family->name != "mistral")  // llama, there
      known.push_back(family->gguf_architecture);
  }
  refuse("general.architecture '{}' is not supported; graft reads GGUF files of {}", architecture, fmt::join(known, ", "));
}

class GgufFiles : public ModelFiles {
 public:
  explicit GgufFiles(const std::string& file) : file_(file), where_(file) {
    try {
      read_config();
      for (const auto& name : file_.tensor_names())
        if (const std::string mine = transformers_name(form_, name); !mine.empty()) names_.push_back(mine), gguf_names_[mine] = name;
    } catch (const RequestError& e) {
      refuse("{}: {}", where_, e.what());
    }
  }
  const std::string& where() const override { return where_; }
  const Json& config() const override { return config_; }
  const std::vector<std::string>& tensor_names() const override { return names_; }
  bool contains(const std::string& name) const override { return gguf_names_.contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return file_.tensor(gguf_names_.at(name)).shape; }
  const GgufFile* gguf() const override { return &file_; }
  Tokenizer tokenizer() const override { return Tokenizer::from_gguf(file_); }
  std::string chat_template() const override { return file_.string("tokenizer.chat_template").value_or(""); }
  Json generation_config() const override { return nullptr; }
  std::vector<std::filesystem::path> weight_files() const override { return {file_.path()}; }
  int64_t file_bytes() const override {
    int64_t bytes = 0;
    for (const auto& name : file_.tensor_names()) bytes += static_cast<int64_t>(file_.tensor(name).bytes.size());
    return bytes;
  }

  at::ScalarType stored_dtype(const std::string&) const override { return at::kFloat; }
  Tensor read(const std::string& name, at::ScalarType dtype) const override {
    const GgufTensor& stored = file_.tensor(gguf_names_.at(name));
    Tensor values = at::empty(stored.shape, at::kFloat);
    dequantize(stored, 0, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
    if (family_->gguf_permutes_qk) values = unpermuted(name, values);
    if (form_.norms_plus_one && name.ends_with("norm.weight")) values = values - 1;
    return values.to(dtype);
  }

 private:
  void read_config() {
    const auto architecture = file_.string("general.architecture");
    require(architecture.has_value(), "key general.architecture is missing");
    family_ = &family_of_architecture(*architecture);
    if (family_->gguf) form_ = *family_->gguf;
    config_ = llama_config_of(file_, *architecture);
    if (family_->name == "llama" || family_->name == "qwen3") config_["attention_bias"] = file_.contains("blk.0.attn_q.bias");
    if (family_->name == "llama") config_["mlp_bias"] = file_.contains("blk.0.ffn_up.bias");
    if (form_.config) config_ = form_.config(file_, std::move(config_));
    config_["architectures"] = {std::string(family_->architecture)}, config_["model_type"] = std::string(family_->name);
  }

  /// llama.cpp stores q and k for interleaved rotation: rows (i, half) of each head are swapped back to (half, i).
  Tensor unpermuted(const std::string& name, const Tensor& values) const {
    const bool q = name.find(".q_proj.") != std::string::npos, k = name.find(".k_proj.") != std::string::npos;
    if (!q && !k) return values;
    const int64_t heads = config_[q ? "num_attention_heads" : "num_key_value_heads"].get<int64_t>();
    const int64_t half = config_["head_dim"].get<int64_t>() / 2;
    require(values.size(0) == heads * half * 2, "tensor {} has {} rows, expected {}", name, values.size(0), heads * half * 2);
    return values.view({heads, half, 2, -1}).transpose(1, 2).reshape(values.sizes());
  }

  GgufFile file_;
  std::string where_;
  const Family* family_ = nullptr;
  GgufForm form_;
  Json config_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> gguf_names_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_gguf_files(const std::string& file) { return std::make_unique<GgufFiles>(file); }

}  // namespace graft
