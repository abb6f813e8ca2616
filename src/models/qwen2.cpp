// Qwen2 and 2.5 (Yang et al. 2024): Llama's blocks with biases on q, k and v.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {

namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader);
  shape.qkv_bias = true;
  read_qwen_windows(reader, shape);
  reader.finish("qwen2");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

const Family qwen2_family = {"qwen2", "Qwen2ForCausalLM", build, "qwen2", false};

}  // namespace graft
