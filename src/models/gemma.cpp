// Gemma (2024), Gemma 2 (2024) and the text models of Gemma 3 (2025): scaled embeddings, norms by 1 + w, GeGLU, a tied head.
// Gemma 2 adds norms behind the sub-layers, caps, and layers that see a window in turn with layers that see all; Gemma 3 has
// norms on q and k in place of the caps, and rotary positions of their own in either kind of layer.
#include <cmath>

#include "graft/models/decoder_config.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"

namespace graft {
namespace {

DecoderShape gemma_shape(ConfigReader& reader, const char* activation) {
  DecoderShape shape = decoder_shape(reader, {.head_dim = 256, .tied_head = true});
  shape.norm = NormKind::rms_plus_one;
  shape.embedding_scale = std::sqrt(static_cast<double>(shape.hidden_size));
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  shape.activation = activation_named(reader.word(activation, "gelu_pytorch_tanh", activation_names())).value();
  reader.expect("use_bidirectional_attention", {false});
  return shape;
}

/// What Gemma 2 and 3 share.
DecoderShape sandwiched(ConfigReader& reader) {
  DecoderShape shape = gemma_shape(reader, "hidden_activation");
  reader.expect("hidden_act", {"gelu_pytorch_tanh"});  // what counts is hidden_activation
  reader.expect("cache_implementation", {"hybrid"});
  shape.names.after_attention = "post_attention_layernorm";
  shape.names.before_mlp = "pre_feedforward_layernorm", shape.names.after_mlp = "post_feedforward_layernorm";
  shape.scores.scale = 1 / std::sqrt(reader.real("query_pre_attn_scalar", 256));
  return shape;
}

void read_one_rope(ConfigReader& reader, DecoderShape& shape) {
  read_rope(reader, shape);
  check_turns_all(*shape.views.front().rope);
}

std::shared_ptr<Transformer> build_gemma(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  // transformers 4 wrote hidden_activation beside a hidden_act that did not count; 5 has hidden_act alone.
  const bool old = config.contains("hidden_activation") && config["hidden_activation"].is_string();
  if (old) reader.expect("hidden_act", {"gelu", "gelu_pytorch_tanh"});
  DecoderShape shape = gemma_shape(reader, old ? "hidden_activation" : "hidden_act");
  read_one_rope(reader, shape);
  reader.finish("gemma");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

std::shared_ptr<Transformer> build_gemma2(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = sandwiched(reader);
  const auto cap = [&](const char* key, double otherwise) {
    return config.contains(key) ? reader.real(key, 0) : otherwise;
  };  // null: none
  shape.scores.cap = cap("attn_logit_softcapping", 50), shape.logit_cap = cap("final_logit_softcapping", 30);
  const int64_t window = reader.integer("sliding_window", 4096);
  reader.expect("sliding_window_size", {window});   // the same, once more
  read_windows(reader, shape, window, [](int64_t layer) { return layer % 2 == 0; });
  read_one_rope(reader, shape);
  reader.finish("gemma2");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

/// transformers 5 has a section of rope_parameters for each kind of layer; in 4 rope_theta and rope_scaling are the global
/// layers'.
void read_both_ropes(ConfigReader& reader, DecoderShape& shape) {
  const Json *both = reader.object("rope_parameters"), *scaling = reader.object("rope_scaling");
  const auto section = [&](const char* kind) {
    if (both) return both->value(kind, Json::object());
    return scaling && std::string_view(kind) == "full_attention" ? *scaling : Json::object();
  };
  const RopeSpec local =
      reader.rope_from(section("sliding_attention"), reader.real("rope_local_base_freq", 10000), shape.max_positions);
  const RopeSpec global = reader.rope_from(section("full_attention"), reader.real("rope_theta", 1000000), shape.max_positions);
  for (const RopeSpec& rope : {local, global}) check_rope(shape, rope), check_turns_all(rope);
  for (LayerView& view : shape.views) view.rope = view.window > 0 ? local : global;
}

std::shared_ptr<Transformer> build_gemma3(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = sandwiched(reader);
  shape.qk_norm = QkNorm::head;
  shape.logit_cap = reader.real("final_logit_softcapping", 0);
  reader.expect("attn_logit_softcapping", {});  // transformers passes it over
  const int64_t pattern = reader.integer("sliding_window_pattern", reader.integer("_sliding_window_pattern", 6));
  read_windows(reader, shape, reader.integer("sliding_window", 4096), [&](int64_t layer) { return (layer + 1) % pattern != 0; });
  read_both_ropes(reader, shape);
  reader.finish("gemma3_text");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

constexpr GgufName gguf_names[] = {{"post_attention_norm", "post_attention_layernorm"},
                                   {"ffn_norm", "pre_feedforward_layernorm"},
                                   {"post_ffw_norm", "post_feedforward_layernorm"}};

/// A file does not say what queries are scaled by; llama.cpp tells the largest models, which differ, by their layers.
double query_scalar(const Json& config, int64_t largest_layers) {
  if (config["num_hidden_layers"] != largest_layers) return config["head_dim"].get<double>();
  return config["hidden_size"].get<double>() / config["num_attention_heads"].get<double>();
}

Json gguf_gemma(const GgufFile&, Json config) {
  config["hidden_act"] = "gelu_pytorch_tanh";
  return config;
}

Json gguf_gemma2(const GgufFile& file, Json config) {
  config.erase("hidden_act");
  config["sliding_window"] = file.integer("gemma2.attention.sliding_window").value_or(4096);
  config["attn_logit_softcapping"] = file.real("gemma2.attn_logit_softcapping").value_or(50);
  config["final_logit_softcapping"] = file.real("gemma2.final_logit_softcapping").value_or(30);
  config["query_pre_attn_scalar"] = query_scalar(config, 46);
  return config;
}

Json gguf_gemma3(const GgufFile& file, Json config) {
  config.erase("hidden_act");
  const auto window = file.integer("gemma3.attention.sliding_window");
  require(window.has_value(), "key gemma3.attention.sliding_window is missing");
  config["sliding_window"] = *window;
  config["rope_local_base_freq"] = file.real("gemma3.rope.freq_base_swa").value_or(10000);
  if (const auto cap = file.real("gemma3.final_logit_softcapping")) config["final_logit_softcapping"] = *cap;
  config["query_pre_attn_scalar"] = query_scalar(config, 62);
  return config;
}

const GgufForm gemma_form = {.head = GgufHead::tied, .norms_plus_one = true, .config = gguf_gemma};
const GgufForm gemma2_form = {.names = gguf_names, .head = GgufHead::tied, .norms_plus_one = true, .config = gguf_gemma2};
const GgufForm gemma3_form = {.names = gguf_names, .norms_plus_one = true, .config = gguf_gemma3};

}  // namespace

const Family gemma_family = {
    .name = "gemma", .architecture = "GemmaForCausalLM", .build = build_gemma, .gguf_architecture = "gemma", .gguf = &gemma_form};
const Family gemma2_family = {.name = "gemma2",
                              .architecture = "Gemma2ForCausalLM",
                              .build = build_gemma2,
                              .gguf_architecture = "gemma2",
                              .gguf = &gemma2_form};
const Family gemma3_text_family = {.name = "gemma3_text",
                                   .architecture = "Gemma3ForCausalLM",
                                   .build = build_gemma3,
                                   .gguf_architecture = "gemma3",
                                   .gguf = &gemma3_form};

}  // namespace graft
