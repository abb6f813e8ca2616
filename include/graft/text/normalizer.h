#pragma once
// The normalizer of tokenizer.json: what is done to the text before it is cut into words.
// Known: NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, ByteLevel, BertNormalizer, Nmt, Precompiled,
// Sequence. Others are refused by name.
#include <functional>
#include <vector>

#include "graft/text/aligned_text.h"
#include "graft/text/json_fields.h"
#include "graft/text/unicode.h"

namespace graft {

class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  explicit Normalizer(const TokenizerJson& json);
  bool is_identity() const { return steps_.empty(); }
  void apply(AlignedText& text) const {
    for (const auto& step : steps_) step(text);
  }

 private:
  void add(const TokenizerJson& json, const std::string& where, int depth);
  std::vector<std::function<void(AlignedText&)>> steps_;
};

/// BERT's: cleans white space and control characters, sets Chinese characters apart, strips accents, lowercases.
std::function<void(AlignedText&)> bert_normalizer(const TokenizerJson& json, std::string_view where);

/// SentencePiece's charsmap: on grapheme clusters where they are short, else on characters.
std::function<void(AlignedText&)> precompiled_normalizer(const TokenizerJson& json, const std::string& where);

/// Control characters go, and what else sets words apart is a space.
void nmt_normalize(AlignedText& text);

/// The edits that bring `text` into a normal form; linear in its length, whatever marks it piles up.
std::vector<TextEdit> normal_form_edits(std::string_view text, NormalForm form);

}  // namespace graft
