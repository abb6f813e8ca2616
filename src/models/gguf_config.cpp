// A GGUF's keys and names in transformers' terms, as Llama has them (ggml docs/gguf.md; llama.cpp's converter).
#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/models/gguf_form.h"
#include "graft/ops/rope.h"

namespace graft {
namespace {

constexpr GgufName llama_names[] = {{"token_embd", "model.embed_tokens"},
                                    {"output_norm", "model.norm"},
                                    {"output", "lm_head"},
                                    {"blk", "model.layers"},
                                    {"attn_norm", "input_layernorm"},
                                    {"attn_q", "self_attn.q_proj"},
                                    {"attn_k", "self_attn.k_proj"},
                                    {"attn_v", "self_attn.v_proj"},
                                    {"attn_output", "self_attn.o_proj"},
                                    {"attn_q_norm", "self_attn.q_norm"},
                                    {"attn_k_norm", "self_attn.k_norm"},
                                    {"ffn_norm", "post_attention_layernorm"},
                                    {"ffn_gate", "mlp.gate_proj"},
                                    {"ffn_up", "mlp.up_proj"},
                                    {"ffn_down", "mlp.down_proj"}};

std::string_view counterpart(const GgufForm& form, std::string_view part) {
  for (const std::span<const GgufName> names : {form.names, std::span<const GgufName>(llama_names)})
    for (const auto& [gguf, ours] : names)
      if (gguf == part) return ours;
  return "";
}

int64_t positive(const GgufFile& file, const std::string& key) {
  const auto value = file.integer(key);
  require(value && *value > 0, "key {} is missing or not positive", key);
  return *value;
}

/// The file holds the quotients of frequencies, not the rule that made them: the rules in use are recognised, others refused.
Json llama3_rule(const std::vector<double>& stored, double theta, int64_t head_dim) {
  const Tensor quotients = at::tensor(stored, at::kFloat);
  RopeSpec plain;
  plain.theta = theta;
  for (const double factor : {8.0, 32.0}) {
    RopeSpec spec = plain;
    spec.type = "llama3", spec.factor = factor, spec.original_max_position = 8192;
    const Tensor expected = rope_frequencies(plain, head_dim) / rope_frequencies(spec, head_dim);
    if (expected.sizes() == quotients.sizes() && at::allclose(expected, quotients, 1e-3))
      return {{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", 8192}};
  }
  refuse("rope_freqs.weight follows none of the llama3 rules that graft knows (factor 8 or 32 from 8192 positions)");
}

/// What a file says beside the factor (yarn_beta_fast ...) is refused where it differs from what llama.cpp and transformers take
/// for granted.
Json yarn_rule(const GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".rope.scaling.";
  const auto usual = [&](const char* key, double value) {
    require(file.real(prefix + key).value_or(value) == value, "key {}{} is not {}, the usual value", prefix, key, value);
  };
  usual("yarn_beta_fast", 32), usual("yarn_beta_slow", 1), usual("yarn_ext_factor", 1), usual("yarn_attn_factor", 1);
  return {{"rope_type", "yarn"},
          {"factor", file.real(prefix + "factor").value_or(1.0)},
          {"original_max_position_embeddings", positive(file, prefix + "original_context_length")}};
}

}  // namespace

std::string transformers_name(const GgufForm& form, const std::string& tensor) {
  if (tensor.starts_with("rope_f")) return "";  // rope_freqs, rope_factors_long and _short: config_of has read them
  const size_t kind = tensor.rfind('.'), layer_end = tensor.find('.', 4);
  const bool in_block = tensor.starts_with("blk.") && layer_end != tensor.npos && kind > layer_end;
  const std::string_view part =
      in_block ? std::string_view(tensor).substr(layer_end + 1, kind - layer_end - 1) : std::string_view(tensor).substr(0, kind);
  const std::string_view name = counterpart(form, part);
  require(kind != tensor.npos && !name.empty() && part != "blk", "tensor '{}' is not one that graft knows", tensor);
  const std::string where = in_block ? std::string(counterpart(form, "blk")) + tensor.substr(3, layer_end - 3) + "." : "";
  return where + std::string(name) + tensor.substr(kind);
}

std::string gguf_name(const GgufForm& form, const std::string& tensor) {
  const size_t kind = tensor.rfind('.');
  const std::string blocks = std::string(counterpart(form, "blk")) + ".";
  const size_t layer_end = tensor.find('.', blocks.size());
  const bool in_block = tensor.starts_with(blocks) && layer_end != tensor.npos && kind > layer_end;
  const size_t begin = in_block ? layer_end + 1 : 0;
  const std::string_view part = std::string_view(tensor).substr(begin, kind == tensor.npos ? tensor.npos : kind - begin);
  for (const std::span<const GgufName> names : {form.names, std::span<const GgufName>(llama_names)})
    for (const auto& [gguf, ours] : names)
      if (ours == part && kind != tensor.npos && gguf != "blk")
        return (in_block ? "blk." + tensor.substr(blocks.size(), layer_end - blocks.size()) + "." : "") + std::string(gguf) +
               tensor.substr(kind);
  refuse("{}: a GGUF has no name for it", tensor);
}

std::vector<double> gguf_values(const GgufFile& file, std::string_view tensor) {
  const GgufTensor& stored = file.tensor(tensor);
  require(stored.shape.size() == 1, "tensor {} is not a list", tensor);
  std::vector<float> values(static_cast<size_t>(stored.shape[0]));
  dequantize(stored, 0, values);
  return {values.begin(), values.end()};
}

Json llama_config_of(const GgufFile& file, const std::string& architecture) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  require(!file.integer(key("expert_count")).value_or(0), "mixture-of-experts models are not supported");
  const int64_t heads = positive(file, key("attention.head_count")), hidden = positive(file, key("embedding_length"));
  const int64_t head_dim = file.integer(key("attention.key_length")).value_or(hidden / heads);
  require(file.contains("token_embd.weight"), "tensor token_embd.weight is missing");
  Json config = {{"vocab_size", file.tensor("token_embd.weight").shape.at(0)},
                 {"hidden_size", hidden},
                 {"intermediate_size", positive(file, key("feed_forward_length"))},
                 {"num_hidden_layers", positive(file, key("block_count"))},
                 {"num_attention_heads", heads},
                 {"num_key_value_heads", file.integer(key("attention.head_count_kv")).value_or(heads)},
                 {"head_dim", head_dim},
                 {"max_position_embeddings", positive(file, key("context_length"))},
                 {"rms_norm_eps", file.real(key("attention.layer_norm_rms_epsilon")).value_or(1e-6)},
                 {"rope_theta", file.real(key("rope.freq_base")).value_or(10000.0)},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", !file.contains("output.weight")}};
  for (const char* token : {"bos_token_id", "eos_token_id"})
    if (const auto id = file.integer(std::string("tokenizer.ggml.") + token)) config[token] = *id;
  const std::string type = file.string(key("rope.scaling.type")).value_or("none");
  require(type == "none" || type == "linear" || type == "longrope" || type == "yarn", "rope scaling '{}' is not supported", type);
  if (type == "yarn") config["rope_scaling"] = yarn_rule(file, architecture);
  if (type == "linear")
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", file.real(key("rope.scaling.factor")).value_or(1.0)}};
  if (file.contains("rope_freqs.weight"))
    config["rope_scaling"] = llama3_rule(gguf_values(file, "rope_freqs.weight"), config["rope_theta"].get<double>(), head_dim);
  return config;
}

}  // namespace graft
