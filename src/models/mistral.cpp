// Mistral 7B (Jiang et al. 2023) without its sliding window: Llama's blocks.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader);
  reader.expect("sliding_window", {});
  reader.finish("mistral");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

const Family mistral_family = {"mistral", "MistralForCausalLM", build, "", true};

}  // namespace graft
