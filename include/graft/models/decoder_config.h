#pragma once
// What config.json says in the families of decoders.
#include "graft/models/config_reader.h"
#include "graft/nn/decoder.h"

namespace graft {

/// What Llama's config.json says; families differ from here.
DecoderShape llama_shape(ConfigReader& reader);
/// Qwen's configs carry a window that `use_sliding_window: false` turns off.
void refuse_sliding_window(ConfigReader& reader);
/// Every layer must attend to all that went before.
void expect_full_attention(ConfigReader& reader, int64_t layers);

/// A decoder's task, its pooling chosen: the last token's state, which has seen all others.
Task decoder_task(const Task& task);

}  // namespace graft
