#pragma once
// A GGUF's tokenizer.ggml.* keys, checked, and what is the same for every kind of tokenizer.
#include <optional>
#include <string>
#include <vector>

#include "graft/io/gguf.h"
#include "graft/text/json_fields.h"

namespace graft {

enum TokenType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct GgufVocabulary {
  explicit GgufVocabulary(const GgufFile& file);
  /// The token of a tokenizer.ggml.*_token_id key.
  std::optional<size_t> token_id(const char* key) const;
  const GgufArray& need_array(const char* key) const;

  const GgufFile& file;
  std::string where;  // the file, for errors
  std::vector<std::string> tokens;
  const std::vector<int64_t>& types;
};

/// The parts of tokenizer.json that depend on the kind of tokenizer. `tokens` of the vocabulary are spelled as there.
struct GgufParts {
  TokenizerJson normalizer, pre_tokenizer, decoder, model;
  bool add_bos = false;         // unless tokenizer.ggml.add_bos_token says otherwise
  bool is_encoder = false;      // its texts stand between CLS and SEP
  bool special_strips = false;  // special tokens take the white space behind them
};

GgufParts gguf_byte_level(GgufVocabulary& vocabulary);     // gpt2
GgufParts gguf_sentencepiece(GgufVocabulary& vocabulary);  // llama
GgufParts gguf_gemma(GgufVocabulary& vocabulary);          // gemma4
GgufParts gguf_wordpiece(GgufVocabulary& vocabulary);      // bert

/// {"token": id, ...}
TokenizerJson vocab_json(const GgufVocabulary& vocabulary);
/// [["a", "b"], ...] of tokenizer.ggml.merges
TokenizerJson merges_json(const GgufVocabulary& vocabulary);
TokenizerJson added_tokens_json(const GgufVocabulary& vocabulary, bool special_strips);
TokenizerJson post_processor_json(const GgufVocabulary& vocabulary, std::optional<size_t> before, std::optional<size_t> behind,
                                  bool is_encoder);

}  // namespace graft
