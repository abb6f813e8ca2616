// Llama 1 to 3.x, SmolLM2, TinyLlama (Touvron et al. 2023; Grattafiori et al. 2024).
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

DecoderShape shape_of_config(const Json& config) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader);
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  shape.mlp_bias = reader.boolean("mlp_bias", false);
  reader.finish("llama");
  return shape;
}

}  // namespace

const Family llama_family = {"llama", "LlamaForCausalLM", shape_of_config, "llama", true};

}  // namespace graft
