// Mistral 7B (Jiang et al. 2023): Llama's blocks, each in a sliding window; and Ministral 8B (2024), where some layers see all.
#include "graft/models/decoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

DecoderShape mistral_shape(ConfigReader& reader, const Json& config) {
  DecoderShape shape = llama_shape(reader);
  const int64_t window = config.contains("sliding_window") ? reader.integer("sliding_window", 0) : 4096;  // null: none
  read_windows(reader, shape, window, [](int64_t) { return true; });
  return shape;
}

std::shared_ptr<Transformer> build(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  reader.expect("layer_types", {});  // transformers' class passes them over; those of Ministral are Ministral's
  const DecoderShape shape = mistral_shape(reader, config);
  reader.finish("mistral");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

std::shared_ptr<Transformer> build_ministral(const Json& config, const Task& task, TensorSource& source) {
  ConfigReader reader(config);
  const DecoderShape shape = mistral_shape(reader, config);
  reader.finish("ministral");
  return std::make_shared<Decoder>(shape, decoder_task(task), source);
}

}  // namespace

/// A GGUF calls it llama, and says nothing of windows. Ministral's is one of those that llama.cpp does not have.
const Family mistral_family = {.name = "mistral",
                               .architecture = "MistralForCausalLM",
                               .build = build,
                               .gguf_architecture = "llama",
                               .gguf_permutes_qk = true};
const Family ministral_family = {.name = "ministral", .architecture = "MinistralForCausalLM", .build = build_ministral};

}  // namespace graft
