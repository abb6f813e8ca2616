#pragma once
#include <string_view>

#include "graft/core/table.h"
#include "graft/text/json_fields.h"

namespace graft {

/// How the tokenizers behind a name of tokenizer.ggml.pre cut and prepare text.
struct GgufPretokenizer {
  std::string_view name;
  TokenizerJson (*json)();  // pre_tokenizer of their tokenizer.json
  bool nfc = false;         // its normalizer
  bool ignore_merges = false;
  bool add_bos = false;  // unless tokenizer.ggml.add_bos_token says otherwise
};

/// RequestError listing the names if there is none.
const GgufPretokenizer& gguf_pretokenizer(std::string_view name);

/// The first name of the table whose tokenizers cut and prepare text as this tokenizer.json does; nullptr if there is none.
const GgufPretokenizer* find_gguf_pretokenizer(const TokenizerJson& tokenizer);

}  // namespace graft
