// GPT-2 (Radford et al. 2019): learnt positions, LayerNorm, q, k, v in one matrix, a GELU without a gate, a tied head.
// transformers keeps the blocks' matrices as [in, out] (Conv1D).
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"

namespace graft {
namespace {

DecoderNames names() {
  DecoderNames names;
  names.words = "transformer.wte", names.positions = "transformer.wpe", names.layers = "transformer.h",
  names.last_norm = "transformer.ln_f";
  names.attention = "attn", names.qkv = {"c_attn"}, names.attention_output = "c_proj";
  names.mlp_input = {"c_fc"}, names.mlp_output = "c_proj";
  names.before_attention = "ln_1", names.before_mlp = "ln_2";
  names.token_classifier = "classifier";
  return names;
}

DecoderShape gpt2_shape(ConfigReader& reader) {
  DecoderShape shape;
  shape.names = names();
  shape.vocab_size = reader.integer("vocab_size");
  shape.hidden_size = reader.integer("n_embd");
  shape.layers = reader.integer("n_layer");
  shape.heads = shape.kv_heads = reader.integer("n_head");
  require(shape.hidden_size % shape.heads == 0, "config.json: {} attention heads do not divide a hidden size of {}", shape.heads,
          shape.hidden_size);
  shape.head_dim = shape.hidden_size / shape.heads;
  shape.intermediate_size = reader.integer("n_inner", 4 * shape.hidden_size);
  shape.max_positions = reader.integer("n_positions", 1024);
  shape.positions = PositionKind::table;
  shape.views.assign(static_cast<size_t>(shape.layers), {});
  shape.norm = NormKind::layer, shape.norm_eps = reader.real("layer_norm_epsilon", 1e-5);
  shape.qkv_bias = shape.output_bias = shape.mlp_bias = true;
  shape.gated_mlp = false;
  shape.activation = activation_named(reader.word("activation_function", "gelu_new", activation_names())).value();
  shape.dropout = {reader.real("embd_pdrop", 0.1), reader.real("attn_pdrop", 0.1), reader.real("resid_pdrop", 0.1)};
  shape.classifier_dropout = reader.real("classifier_dropout", 0.1);
  shape.tied_head = reader.boolean("tie_word_embeddings", true);
  shape.fan_in_fan_out = true;
  return shape;
}

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  const DecoderShape shape = gpt2_shape(reader);
  reader.integer("n_ctx", 0);  // n_positions, once more
  reader.expect("scale_attn_weights", {true});
  for (const char* key : {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"})
    reader.expect(key, {false});
  // Of the head for multiple choice.
  for (const char* key : {"summary_type", "summary_activation"})
    reader.word(key, "", {"cls_index", "last", "first", "mean", "attn", "tanh"});
  for (const char* key : {"summary_use_proj", "summary_proj_to_labels"}) reader.boolean(key, true);
  reader.real("summary_first_dropout", 0);
  reader.finish("gpt2");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

/// transformer.h.0.attn.c_attn.weight
bool is_conv1d(std::string_view tensor) {
  return tensor.starts_with("transformer.h.") && tensor.find(".c_") != tensor.npos && tensor.ends_with(".weight");
}

constexpr GgufName gguf_names[] = {{"token_embd", "transformer.wte"},
                                   {"position_embd", "transformer.wpe"},
                                   {"output_norm", "transformer.ln_f"},
                                   {"blk", "transformer.h"},
                                   {"attn_norm", "ln_1"},
                                   {"attn_qkv", "attn.c_attn"},
                                   {"attn_output", "attn.c_proj"},
                                   {"ffn_norm", "ln_2"},
                                   {"ffn_up", "mlp.c_fc"},
                                   {"ffn_down", "mlp.c_proj"}};

/// A GGUF holds the matrices as [out, in].
Json gguf_config(const GgufFile& file, Json llama) {
  Json config = {{"vocab_size", llama["vocab_size"]},
                 {"n_embd", llama["hidden_size"]},
                 {"n_layer", llama["num_hidden_layers"]},
                 {"n_head", llama["num_attention_heads"]},
                 {"n_inner", llama["intermediate_size"]},
                 {"n_positions", llama["max_position_embeddings"]},
                 {"activation_function", "gelu_new"},
                 {"layer_norm_epsilon", file.real("gpt2.attention.layer_norm_epsilon").value_or(1e-5)},
                 {"tie_word_embeddings", llama["tie_word_embeddings"]}};
  for (const char* token : {"bos_token_id", "eos_token_id"})
    if (llama.contains(token)) config[token] = llama[token];
  return config;
}

const GgufForm gguf_form = {.names = gguf_names, .config = gguf_config};

}  // namespace

const Family gpt2_family = {.name = "gpt2",
                            .architecture = "GPT2LMHeadModel",
                            .build = build,
                            .gguf_architecture = "gpt2",
                            .gguf = &gguf_form,
                            .optional_prefix = "transformer.",
                            .transposed = is_conv1d};

}  // namespace graft
