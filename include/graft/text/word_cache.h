#pragma once
// The tokens of words seen lately. One cache serves one encode call at a time (no locks); its size is fixed: a word takes the
// place of the one that had its slot.
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/token_model.h"

namespace graft {

class WordCache {
 public:
  static constexpr size_t longest_word = 64;

  /// The word's tokens, found or made by `encode(word, tokens)`.
  template <class Encode>
  const std::vector<TokenPiece>& tokens(std::string_view word, Encode&& encode) {
    if (slots_.empty()) slots_.resize(slot_count);
    const size_t hash = std::hash<std::string_view>()(word);
    Slot& slot = slots_[hash % slot_count];
    if (slot.hash == hash && slot.word == word) return slot.tokens;
    slot.word.clear();  // no match, should encode throw
    slot.tokens.clear();
    encode(word, slot.tokens);
    slot.word = word;
    slot.hash = hash;
    return slot.tokens;
  }

 private:
  static constexpr size_t slot_count = 1 << 15;
  struct Slot {
    size_t hash = 0;
    std::string word;
    std::vector<TokenPiece> tokens;
  };
  std::vector<Slot> slots_;
};

}  // namespace graft
