#include "graft/text/word_level.h"

namespace graft {

WordLevel::WordLevel(const TokenizerJson& model)
    : TokenModel(model), unknown_(token_to_id(need_string(model, "unk_token", "model"))) {}

void WordLevel::encode(std::string_view word, std::vector<TokenPiece>& out) const {
  if (word.empty()) return;
  const auto id = token_to_id(word);
  require(id || unknown_, "the vocabulary has neither the word '{}' nor the model's unk_token", word);
  out.push_back({id ? *id : *unknown_, static_cast<uint32_t>(word.size())});
}

}  // namespace graft
