#pragma once
// The post-processor of tokenizer.json, for one sequence: what is put in front of its tokens and behind them.
// Known: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (adds nothing), Sequence. Others are refused by name.
#include <cstdint>
#include <vector>

#include "graft/text/json_fields.h"

namespace graft {

struct PostProcessor {
  std::vector<int32_t> prefix, suffix;
};

/// Ids are below `id_end`.
PostProcessor read_post_processor(const TokenizerJson& json, int32_t id_end);

}  // namespace graft
