#pragma once
// Tokens beside the model's own: found in the text before it is cut into words, leftmost first, then longest. Those that are not
// `normalized` are sought in the text as it came, then the others in what remains, normalized.
#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "graft/text/aligned_text.h"
#include "graft/text/normalizer.h"

namespace graft {

struct AddedToken {
  std::string content;
  std::string spelling;  // the content, normalized if the token is: what is sought, and what decoding gets
  int32_t id = 0;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // with the white space before it
  bool rstrip = false;       // with the white space behind it
  bool normalized = true;
  bool special = false;
};

/// An added token, or (id < 0) text between such.
struct TextPart {
  size_t begin, end;
  int32_t id;
};

/// Strings by their bytes, for the longest one at a place.
class StringTrie {
 public:
  /// The first value given for a string stays.
  void add(std::string_view text, int32_t value);
  bool can_begin(char byte) const { return begins_[static_cast<unsigned char>(byte)]; }
  /// Calls visit(length, value) for every string at the front of `text`, shortest first.
  template <class Visit>
  void match(std::string_view text, Visit&& visit) const {
    size_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto next = edges_.find({node, text[i]});
      if (next == edges_.end()) return;
      node = next->second;
      if (values_[node] >= 0) visit(i + 1, values_[node]);
    }
  }

 private:
  std::map<std::pair<size_t, char>, size_t> edges_;
  std::vector<int32_t> values_{-1};
  std::array<bool, 256> begins_{};
};

class AddedTokens {
 public:
  enum class Pass { raw, normalized };

  AddedTokens() = default;
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// Cuts `text` at the tokens of a pass; appends parts that cover it. See EncodeOptions for `parse_special` and `literal`.
  void split(const AlignedText& text, Pass pass, bool parse_special, std::span<const TextRange> literal,
             std::vector<TextPart>& out) const;

 private:
  const StringTrie& trie(Pass pass) const { return pass == Pass::raw ? raw_ : normalized_; }
  std::vector<AddedToken> tokens_;
  StringTrie raw_, normalized_;  // values are indices of tokens_
};

}  // namespace graft
