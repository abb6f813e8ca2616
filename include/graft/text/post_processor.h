#pragma once
// The post-processor of tokenizer.json: what is put around one sequence's tokens, or around two sequences'.
// Known: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (adds nothing), Sequence. Others are refused by name,
// and so is a second one that adds tokens.
#include <cstdint>
#include <optional>
#include <vector>

#include "graft/text/json_fields.h"

namespace graft {

/// A token, or (sequence >= 0: 0 is A, 1 is B) the place of a sequence's.
struct TemplatePiece {
  int32_t id = -1;
  int sequence = -1;
  uint8_t type_id = 0;
};

/// RoBERTa's: offsets leave out the white space of a token, but where `keeps_first` not one that was put before the text.
struct OffsetTrim {
  bool keeps_first;
};

struct PostProcessor {
  std::vector<TemplatePiece> single{{-1, 0, 0}};
  std::vector<TemplatePiece> pair{{-1, 0, 0}, {-1, 1, 1}};
  std::optional<OffsetTrim> trim;

  /// The ids before and behind a single sequence.
  std::vector<int32_t> prefix() const;
  std::vector<int32_t> suffix() const;
};

/// Ids are below `id_end`.
PostProcessor read_post_processor(const TokenizerJson& json, int32_t id_end);

}  // namespace graft
