// Phi-3, 3.5 and 4 (Abdin et al. 2024): Llama's blocks with q, k, v in one matrix and gate and up in another; some turn a part of
// each head's columns, some read long texts by LongRoPE.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"

namespace graft {
namespace {

/// What transformers makes of the config before it reads on: LongRoPE's older names, and the context that it takes for granted.
Json as_read(Json config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(key) || !config[key].is_object()) continue;
    for (const char* type : {"type", "rope_type"})
      if (const Json name = config[key].value(type, Json()); name == "su" || name == "yarn") config[key][type] = "longrope";
  }
  if (config.value("original_max_position_embeddings", Json()).is_null()) config["original_max_position_embeddings"] = 4096;
  return config;
}

std::shared_ptr<Transformer> build(const Json& given, const Task& task, TensorSource& source) {
  const Json config = as_read(given);
  ConfigReader reader(config);
  DecoderShape shape = decoder_shape(reader, {.norm_eps = 1e-5});
  read_rope(reader, shape);
  shape.names.qkv = {"qkv_proj"}, shape.names.mlp_input = {"gate_up_proj"};
  const std::string& rope = shape.views.front().rope->type;
  require(rope == "default" || rope == "longrope",
          "config.json: rope_scaling: type '{}' is not one of phi3's (default, longrope)", rope);
  shape.activation = activation_named(reader.word("hidden_act", "silu", activation_names())).value();
  shape.dropout.residual = reader.real("resid_pdrop", 0);
  reader.real("embd_pdrop", 0);  // which transformers' class does not apply
  reader.expect("attention_bias", {false});
  for (const char* key : {"full_attn_mod", "interpolate_factor"}) reader.expect(key, {1});   // Phi-4's makers' own, of no effect at 1
  read_windows(reader, shape, reader.integer("sliding_window", 0), [](int64_t) { return true; });
  reader.finish("phi3");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

constexpr GgufName gguf_names[] = {{"attn_qkv", "self_attn.qkv_proj"}, {"ffn_up", "mlp.gate_up_proj"}};

Json gguf_config(const GgufFile& file, Json config) {
  if (const auto window = file.integer("phi3.attention.sliding_window"); window.value_or(0) > 0)
    config["sliding_window"] = *window;
  const int64_t head_dim = config["head_dim"].get<int64_t>(),
                turned = file.integer("phi3.rope.dimension_count").value_or(head_dim);
  if (turned != head_dim) config["partial_rotary_factor"] = static_cast<double>(turned) / static_cast<double>(head_dim);
  config["original_max_position_embeddings"] =
      file.integer("phi3.rope.scaling.original_context_length").value_or(config["max_position_embeddings"].get<int64_t>());
  if (!file.contains("rope_factors_long.weight")) return config;
  config["rope_scaling"] = {{"type", "longrope"},
                            {"long_factor", gguf_values(file, "rope_factors_long.weight")},
                            {"short_factor", gguf_values(file, "rope_factors_short.weight")}};
  if (const auto factor = file.real("phi3.rope.scaling.attn_factor")) config["rope_scaling"]["attention_factor"] = *factor;
  return config;
}

const GgufForm gguf_form = {.names = gguf_names, .config = gguf_config};

}  // namespace

const Family phi3_family = {
    .name = "phi3", .architecture = "Phi3ForCausalLM", .build = build, .gguf_architecture = "phi3", .gguf = &gguf_form};

}  // namespace graft
