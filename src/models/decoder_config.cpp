#include "graft/models/decoder_config.h"

namespace graft {

DecoderShape llama_shape(ConfigReader& reader) {
  DecoderShape shape;
  shape.vocab_size = reader.integer("vocab_size");
  shape.hidden_size = reader.integer("hidden_size");
  shape.intermediate_size = reader.integer("intermediate_size");
  shape.layers = reader.integer("num_hidden_layers");
  shape.heads = reader.integer("num_attention_heads");
  shape.kv_heads = reader.integer("num_key_value_heads", shape.heads);
  shape.head_dim = reader.integer("head_dim", shape.hidden_size / shape.heads);
  shape.max_positions = reader.integer("max_position_embeddings", 2048);
  shape.norm_eps = reader.real("rms_norm_eps", 1e-6);
  shape.rope = reader.rope(shape.max_positions);
  shape.tied_head = reader.boolean("tie_word_embeddings", false);
  require(shape.heads % shape.kv_heads == 0, "config.json: {} attention heads cannot share {} key/value heads", shape.heads, shape.kv_heads);
  require(shape.head_dim % 2 == 0, "config.json: head_dim {} is odd", shape.head_dim);
  shape.classifier_dropout = reader.real("classifier_dropout", 0.1);
  reader.expect("hidden_act", {"silu"});
  reader.expect("attention_dropout", {0, 0.0});
  reader.expect("pretraining_tp", {1, 0});
  reader.expect("rope_interleaved", {false});
  reader.expect("partial_rotary_factor", {1, 1.0});
  return shape;
}

Task decoder_task(const Task& task) {
  require(task.pooling != Pooling::cls, "model.pooling: cls: a decoder's first token has seen nothing of the text; choose last or mean");
  Task own = task;
  if (own.pooling == Pooling::automatic) own.pooling = Pooling::last;
  return own;
}

void refuse_sliding_window(ConfigReader& reader) {
  if (reader.boolean("use_sliding_window", false)) refuse("config.json: use_sliding_window: sliding-window attention is not supported");
  reader.integer("sliding_window", 0);
}

void expect_full_attention(ConfigReader& reader, int64_t layers) {
  reader.expect("layer_types", {Json(std::vector<std::string>(static_cast<size_t>(layers), "full_attention"))});
}

}  // namespace graft
