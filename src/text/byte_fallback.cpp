#include "graft/text/byte_fallback.h"

namespace graft {

ByteFallback::ByteFallback(const TokenModel& model) {
  for (size_t byte = 0; byte < tokens_.size(); ++byte)
    tokens_[byte] = model.token_to_id(fmt::format("<0x{:02X}>", byte)).value_or(-1);
}

bool ByteFallback::append(std::string_view piece, std::vector<TokenPiece>& out) const {
  const auto token = [this](char byte) { return tokens_[static_cast<unsigned char>(byte)]; };
  for (const char byte : piece)
    if (token(byte) < 0) return false;
  for (const char byte : piece) out.push_back({token(byte), 1});
  return true;
}

}  // namespace graft
