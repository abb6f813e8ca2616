// Mistral 7B (Jiang et al. 2023) without its sliding window: Llama's blocks.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

DecoderShape shape_of_config(const Json& config) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader);
  reader.expect("sliding_window", {});
  reader.finish("mistral");
  return shape;
}

}  // namespace

const Family mistral_family = {"mistral", "MistralForCausalLM", shape_of_config, "", true};

}  // namespace graft
