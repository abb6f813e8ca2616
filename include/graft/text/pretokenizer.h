#pragma once
// The pre-tokenizer of tokenizer.json: cuts the text into the words that the model sees, and may change it on the way.
// Known: ByteLevel, Metaspace, Split, Sequence, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit,
// BertPreTokenizer, UnicodeScripts, FixedLength. Others are refused.
#include <functional>
#include <vector>

#include "graft/text/aligned_text.h"
#include "graft/text/json_fields.h"
#include "graft/text/regex.h"

namespace graft {

/// {"String": ...} or {"Regex": ...}, under the key `pattern`.
Regex pattern_field(const TokenizerJson& json, std::string_view where);

struct Words {
  AlignedText text;
  std::vector<TextRange> ranges;  // of text, sorted and disjoint; never empty ones
};

class PreTokenizer {
 public:
  PreTokenizer() = default;  // the whole text is one word
  explicit PreTokenizer(const TokenizerJson& json);
  /// `words` comes with one range, all of its text.
  void apply(Words& words) const {
    for (const auto& step : steps_) step(words);
  }
  /// Whether the words' bytes are yet to be spelled in GPT-2's alphabet. That is ByteLevel's part; where it is the last step, it
  /// is left to the model, which then works on bytes directly.
  bool leaves_bytes() const { return leaves_bytes_; }

 private:
  void add(const TokenizerJson& json, const std::string& where, int depth, bool is_last);
  std::vector<std::function<void(Words&)>> steps_;
  bool leaves_bytes_ = false;
};

}  // namespace graft
