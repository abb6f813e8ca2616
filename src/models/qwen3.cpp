// Qwen3 (Yang et al. 2025): Llama's blocks with an RMSNorm on each head's q and k, and no biases.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader, {.head_dim = 128});
  shape.qk_norm = QkNorm::head;
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  read_qwen_windows(reader, shape);
  reader.finish("qwen3");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

const Family qwen3_family = {"qwen3", "Qwen3ForCausalLM", build, "qwen3", false};

}  // namespace graft
