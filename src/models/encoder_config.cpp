#include "graft/models/encoder_config.h"

namespace graft {

EncoderShape bert_shape(ConfigReader& reader) {
  EncoderShape shape;
  shape.vocab_size = reader.integer("vocab_size");
  shape.hidden_size = reader.integer("hidden_size");
  shape.intermediate_size = reader.integer("intermediate_size");
  shape.layers = reader.integer("num_hidden_layers");
  shape.heads = reader.integer("num_attention_heads");
  shape.positions = reader.integer("max_position_embeddings", 512);
  shape.types = reader.integer("type_vocab_size", 2);
  shape.norm_eps = reader.real("layer_norm_eps", 1e-12);
  shape.activation = *activation_named(reader.word("hidden_act", "gelu", {"gelu", "gelu_new", "relu"}));
  shape.hidden_dropout = reader.real("hidden_dropout_prob", 0.1);
  shape.attention_dropout = reader.real("attention_probs_dropout_prob", 0.1);
  reader.expect("position_embedding_type", {"absolute"});
  reader.expect("is_decoder", {false});
  reader.expect("add_cross_attention", {false});
  reader.expect("tie_word_embeddings", {true, false});   // of a head for masked words, which no task here has
  reader.expect("gradient_checkpointing", {true, false});
  // BERT's multilingual configs tell how their pooler came about.
  reader.expect("directionality", {"bidi"});
  reader.expect("pooler_type", {"first_token_transform"});
  for (const char* key : {"pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head"}) reader.integer(key, 0);
  require(shape.hidden_size % shape.heads == 0, "config.json: {} attention heads do not divide a hidden size of {}", shape.heads, shape.hidden_size);
  return shape;
}

double classifier_dropout(ConfigReader& reader, const EncoderShape& shape) { return reader.real("classifier_dropout", shape.hidden_dropout); }

Task encoder_task(const Task& task) {
  require(task.pooling != Pooling::last, "model.pooling: last is for decoders, whose last token has seen all others; an encoder takes cls or mean");
  Task own = task;
  if (own.pooling == Pooling::automatic) own.pooling = Pooling::cls;
  return own;
}

}  // namespace graft
