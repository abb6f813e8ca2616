#pragma once
// The tokens <0xNN>, with which BPE and Unigram spell what they have no token for.
#include <array>
#include <string_view>
#include <vector>

#include "graft/text/token_model.h"

namespace graft {

class ByteFallback {
 public:
  explicit ByteFallback(const TokenModel& model);
  /// Appends a token a byte; false, and nothing, where the vocabulary lacks one of them.
  bool append(std::string_view piece, std::vector<TokenPiece>& out) const;

 private:
  std::array<int32_t, 256> tokens_{};  // of each byte, or -1
};

}  // namespace graft
