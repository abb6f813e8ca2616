// OLMo 2 (OLMo team 2024): norms behind the sub-layers alone, and on q and k over all heads at once.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"
#include "graft/models/gguf_form.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader, {.norm_eps = 1e-5});
  shape.names.before_attention = "", shape.names.after_attention = "post_attention_layernorm";
  shape.names.before_mlp = "", shape.names.after_mlp = "post_feedforward_layernorm";
  shape.qk_norm = QkNorm::width;
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  reader.finish("olmo2");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

constexpr GgufName gguf_names[] = {{"post_attention_norm", "post_attention_layernorm"},
                                   {"post_ffw_norm", "post_feedforward_layernorm"}};
const GgufForm gguf_form = {.names = gguf_names, .head = GgufHead::own};

}  // namespace

const Family olmo2_family = {
    .name = "olmo2", .architecture = "Olmo2ForCausalLM", .build = build, .gguf_architecture = "olmo2", .gguf = &gguf_form};

}  // namespace graft
