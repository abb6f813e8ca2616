// SmolLM3 (Hugging Face 2025): Llama's blocks, some of which know no positions (NoPE; Kazemnejad et al. 2023).
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  DecoderShape shape = llama_shape(reader, {.theta = 2000000, .tied_head = true});
  shape.qkv_bias = shape.output_bias = reader.boolean("attention_bias", false);
  shape.mlp_bias = reader.boolean("mlp_bias", false);
  const std::vector<int64_t> turns = reader.integers("no_rope_layers");  // 1: with RoPE
  const int64_t interval = reader.integer("no_rope_layer_interval", 4);
  require(turns.empty() || static_cast<int64_t>(turns.size()) >= shape.layers,
          "config.json: no_rope_layers tells {} layers of {}", turns.size(), shape.layers);
  for (int64_t i = 0; i < shape.layers; ++i)
    if (turns.empty() ? (i + 1) % interval == 0 : turns[static_cast<size_t>(i)] == 0)
      shape.views[static_cast<size_t>(i)].rope.reset();
  const bool windowed = reader.boolean("use_sliding_window", false);
  const int64_t window = reader.integer("sliding_window", 0);
  read_windows(reader, shape, windowed ? window : 0,
               [&](int64_t layer) { return !shape.views[static_cast<size_t>(layer)].rope; });
  reader.finish("smollm3");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

const Family smollm3_family = {.name = "smollm3",
                               .architecture = "SmolLM3ForCausalLM",
                               .build = build,
                               .gguf_architecture = "smollm3",
                               .gguf_permutes_qk = true};

}  // namespace graft
