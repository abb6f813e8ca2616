#pragma once
// WordLevel: a word is a token, or unknown.
#include <optional>
#include <vector>

#include "graft/text/token_model.h"

namespace graft {

class WordLevel : public TokenModel {
 public:
  explicit WordLevel(const TokenizerJson& model);
  void encode(std::string_view word, std::vector<TokenPiece>& out) const override;

 private:
  std::optional<int32_t> unknown_;  // without it, a text with an unknown word is refused
};

}  // namespace graft
