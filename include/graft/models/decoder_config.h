#pragma once
// What config.json says in the families of decoders.
#include <functional>

#include "graft/models/config_reader.h"
#include "graft/nn/decoder.h"

namespace graft {

/// What a family takes for granted where its config says nothing.
struct DecoderDefaults {
  int64_t head_dim = 0;   // 0: the hidden size over the heads
  double theta = 10000, norm_eps = 1e-6;
  bool tied_head = false;
};

/// The sizes that most decoders' configs share; rotary positions and activations are left to say.
DecoderShape decoder_shape(ConfigReader& reader, const DecoderDefaults& defaults = {});
/// One rule for all layers.
void read_rope(ConfigReader& reader, DecoderShape& shape, const DecoderDefaults& defaults = {});
/// Faults of a rule in this shape: columns that make no pairs, factors for other frequencies.
void check_rope(const DecoderShape& shape, const RopeSpec& rope);
/// Most families turn whole heads.
void check_turns_all(const RopeSpec& rope);
/// What Llama's config.json says; families differ from here.
DecoderShape llama_shape(ConfigReader& reader, const DecoderDefaults& defaults = {});
/// Which layers see a window alone: what layer_types says, else those that `usual` names. 0: there is no window for any.
void read_windows(ConfigReader& reader, DecoderShape& shape, int64_t window, const std::function<bool(int64_t layer)>& usual);
/// Qwen's configs carry a window that `use_sliding_window: false` turns off; the first max_window_layers see all.
void read_qwen_windows(ConfigReader& reader, DecoderShape& shape);

/// A decoder's task, its pooling chosen: the last token's state, which has seen all others.
Task decoder_task(const Task& task);

}  // namespace graft
