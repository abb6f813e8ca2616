#include "graft/models/decoder_config.h"

namespace graft {
DecoderShape decoder_shape(ConfigReader& reader, const DecoderDefaults& defaults) {
  DecoderShape shape;
  shape.vocab_size = reader.integer("vocab_size");
  shape.hidden_size = reader.integer("hidden_size");
  shape.intermediate_size = reader.integer("intermediate_size");
  shape.layers = reader.integer("num_hidden_layers");
  shape.heads = reader.integer("num_attention_heads");
  shape.kv_heads = reader.integer("num_key_value_heads", shape.heads);
  shape.head_dim = reader.integer("head_dim", defaults.head_dim > 0 ? defaults.head_dim : shape.hidden_size / shape.heads);
  shape.max_positions = reader.integer("max_position_embeddings", 2048);
  shape.norm_eps = reader.real("rms_norm_eps", defaults.norm_eps);
  shape.tied_head = reader.boolean("tie_word_embeddings", defaults.tied_head);
  shape.views.resize(static_cast<size_t>(shape.layers));
  require(shape.heads % shape.kv_heads == 0, "config.json: {} attention heads cannot share {} key/value heads", shape.heads,
          shape.kv_heads);
  shape.classifier_dropout = reader.real("classifier_dropout", 0.1);
  reader.expect("attention_dropout", {0, 0.0});
  return shape;
}

void check_rope(const DecoderShape& shape, const RopeSpec& rope) {
  const auto turned = static_cast<int64_t>(static_cast<double>(shape.head_dim) * rope.rotated_share);
  require(turned > 0 && turned % 2 == 0 && turned <= shape.head_dim,
          "config.json: {} of the {} columns of a head cannot be turned in pairs", turned, shape.head_dim);
  if (rope.type != "longrope") return;
  for (const auto* factors : {&rope.short_factor, &rope.long_factor})
    require(static_cast<int64_t>(factors->size()) == turned / 2, "config.json: rope_scaling has {} factors for {} frequencies",
            factors->size(), turned / 2);
}

void check_turns_all(const RopeSpec& rope) {
  require(rope.rotated_share == 1, "config.json: partial_rotary_factor is not supported in this family");
}

void read_rope(ConfigReader& reader, DecoderShape& shape, const DecoderDefaults& defaults) {
  const RopeSpec rope = reader.rope(shape.max_positions, defaults.theta);
  check_rope(shape, rope);
  for (LayerView& view : shape.views) view.rope = rope;
}

DecoderShape llama_shape(ConfigReader& reader, const DecoderDefaults& defaults) {
  DecoderShape shape = decoder_shape(reader, defaults);
  read_rope(reader, shape, defaults);
  check_turns_all(*shape.views.front().rope);
  reader.expect("hidden_act", {"silu"});
  reader.real("pretraining_tp", 1);   // how its makers cut the products
  reader.expect("rope_interleaved", {false});
  return shape;
}

Task decoder_task(const Task& task) {
  require(task.pooling != Pooling::cls,
          "model.pooling: cls: a decoder's first token has seen nothing of the text; choose last or mean");
  Task own = task;
  if (own.pooling == Pooling::automatic) own.pooling = Pooling::last;
  return own;
}

void read_windows(ConfigReader& reader, DecoderShape& shape, int64_t window, const std::function<bool(int64_t layer)>& usual) {
  const std::vector<std::string> types = reader.words("layer_types");
  require(types.empty() || static_cast<int64_t>(types.size()) == shape.layers, "config.json: layer_types names {} layers of {}",
          types.size(), shape.layers);
  for (int64_t i = 0; i < shape.layers; ++i) {
    const auto layer = static_cast<size_t>(i);
    const std::string type = !types.empty() ? types[layer] : window > 0 && usual(i) ? "sliding_attention" : "full_attention";
    require(type == "full_attention" || type == "sliding_attention",
            "config.json: layer_types: '{}' is not supported (full_attention and sliding_attention are)", type);
    if (type == "full_attention") continue;
    require(window > 0, "config.json: layer_types names sliding_attention, but there is no sliding_window");
    shape.views[layer].window = window;
  }
}

void read_qwen_windows(ConfigReader& reader, DecoderShape& shape) {
  const bool used = reader.boolean("use_sliding_window", false);
  const int64_t window = reader.integer("sliding_window", 4096);
  const double first = reader.real("max_window_layers", 28);  // may be 0
  read_windows(reader, shape, used ? window : 0, [&](int64_t layer) { return static_cast<double>(layer) >= first; });
}

}  // namespace graft
