// Llama 1 to 3.x, SmolLM2, TinyLlama (Touvron et al. 2023; Grattafiori et al. 2024).
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader);
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  shape.mlp_bias = reader.boolean("mlp_bias", false);
  reader.finish("llama");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

const Family llama_family = {"llama", "LlamaForCausalLM", build, "llama", true};

}  // namespace graft
