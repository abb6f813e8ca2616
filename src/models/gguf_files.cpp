// A GGUF file as ModelFiles: its keys become a config.json, its names Hugging Face's, its blocks fp32 on the way.
#include <ATen/ATen.h>

#include <filesystem>
#include <map>

#include "graft/core/error.h"
#include "graft/io/gguf.h"
#include "graft/models/family.h"
#include "graft/models/model_files.h"

namespace graft {
namespace {

const Family& family_of_architecture(const std::string& architecture) {
  for (const Family* family : families())
    if (!family->gguf_architecture.empty() && family->gguf_architecture == architecture) return *family;
  refuse("general.architecture '{}' is not supported; graft reads GGUF files of llama, qwen2 and qwen3", architecture);
}

/// blk.N.<gguf part> <-> model.layers.N.<Hugging Face part>
const std::pair<const char*, const char*> block_names[] = {
    {"attn_norm", "input_layernorm"},  {"attn_q", "self_attn.q_proj"},        {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},    {"attn_output", "self_attn.o_proj"},   {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"}, {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},         {"ffn_down", "mlp.down_proj"}};

/// "" for a tensor that has no counterpart (rope_freqs.weight).
std::string hugging_face_name(const std::string& name) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  if (name == "rope_freqs.weight") return "";
  const size_t layer_end = name.find('.', 4), kind = name.rfind('.');
  if (name.starts_with("blk.") && layer_end != std::string::npos && kind > layer_end) {
    const std::string part = name.substr(layer_end + 1, kind - layer_end - 1);
    for (const auto& [gguf, hugging_face] : block_names)
      if (part == gguf) return "model.layers." + name.substr(4, layer_end - 4) + "." + hugging_face + name.substr(kind);
  }
  refuse("tensor '{}' is not one that graft knows", name);
}

class GgufFiles : public ModelFiles {
 public:
  explicit GgufFiles(const std::string& file) : file_(file), where_(file) {
    try {
      read_config();
      for (const auto& name : file_.tensor_names())
        if (const std::string mine = hugging_face_name(name); !mine.empty()) names_.push_back(mine), gguf_names_[mine] = name;
    } catch (const RequestError& e) {
      refuse("{}: {}", where_, e.what());
    }
  }
  const std::string& where() const override { return where_; }
  const Json& config() const override { return config_; }
  const std::vector<std::string>& tensor_names() const override { return names_; }
  bool contains(const std::string& name) const override { return gguf_names_.contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return file_.tensor(gguf_names_.at(name)).shape; }
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
    return values.to(dtype);
  }

 private:
  std::string key(const char* name) const { return std::string(family_->gguf_architecture) + "." + name; }
  int64_t integer(const char* name) const {
    const auto value = file_.integer(key(name));
    require(value && *value > 0, "key {} is missing or not positive", key(name));
    return *value;
  }

  void read_config() {
    const auto architecture = file_.string("general.architecture");
    require(architecture.has_value(), "key general.architecture is missing");
    family_ = &family_of_architecture(*architecture);
    require(!file_.integer(key("expert_count")).value_or(0), "mixture-of-experts models are not supported");
    const int64_t heads = integer("attention.head_count"), hidden = integer("embedding_length");
    const int64_t kv_heads = file_.integer(key("attention.head_count_kv")).value_or(heads);
    const int64_t head_dim = file_.integer(key("attention.key_length")).value_or(hidden / heads);
    require(file_.contains("token_embd.weight"), "tensor token_embd.weight is missing");
    config_ = {{"architectures", {std::string(family_->architecture)}},
               {"model_type", std::string(family_->name)},
               {"vocab_size", file_.tensor("token_embd.weight").shape.at(0)},
               {"hidden_size", hidden},
               {"intermediate_size", integer("feed_forward_length")},
               {"num_hidden_layers", integer("block_count")},
               {"num_attention_heads", heads},
               {"num_key_value_heads", kv_heads},
               {"head_dim", head_dim},
               {"max_position_embeddings", integer("context_length")},
               {"rms_norm_eps", file_.real(key("attention.layer_norm_rms_epsilon")).value_or(1e-6)},
               {"rope_theta", file_.real(key("rope.freq_base")).value_or(10000.0)},
               {"hidden_act", "silu"},
               {"tie_word_embeddings", !file_.contains("output.weight")}};
    if (family_->name == "llama" || family_->name == "qwen3") config_["attention_bias"] = file_.contains("blk.0.attn_q.bias");
    if (const auto id = file_.integer("tokenizer.ggml.bos_token_id")) config_["bos_token_id"] = *id;
    if (const auto id = file_.integer("tokenizer.ggml.eos_token_id")) config_["eos_token_id"] = *id;
    read_rope(head_dim);
  }

  void read_rope(int64_t head_dim) {
    const std::string type = file_.string(key("rope.scaling.type")).value_or("none");
    if (type == "linear")
      config_["rope_scaling"] = {{"rope_type", "linear"}, {"factor", file_.real(key("rope.scaling.factor")).value_or(1.0)}};
    else
      require(type == "none", "rope scaling '{}' is not supported", type);
    if (!file_.contains("rope_freqs.weight")) return;
    // The file holds the quotients of frequencies, not the rule that made them: the two rules in use are recognised, others refused.
    const GgufTensor& stored = file_.tensor("rope_freqs.weight");
    Tensor quotients = at::empty(stored.shape, at::kFloat);
    dequantize(stored, 0, {quotients.mutable_data_ptr<float>(), static_cast<size_t>(quotients.numel())});
    RopeSpec plain;
    plain.theta = config_["rope_theta"].get<double>();
    for (const double factor : {8.0, 32.0}) {
      RopeSpec spec = plain;
      spec.type = "llama3", spec.factor = factor, spec.original_max_position = 8192;
      const Tensor expected = rope_frequencies(plain, head_dim) / rope_frequencies(spec, head_dim);
      if (expected.sizes() != quotients.sizes() || !at::allclose(expected, quotients, 1e-3)) continue;
      config_["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", factor}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 8192}};
      return;
    }
    refuse("rope_freqs.weight follows none of the llama3 rules that graft knows (factor 8 or 32 from 8192 positions)");
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
  Json config_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> gguf_names_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_gguf_files(const std::string& file) { return std::make_unique<GgufFiles>(file); }

}  // namespace graft
