#pragma once
// The decoder of tokenizer.json: from tokens as the vocabulary spells them to text.
// Known: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder, WordPiece, CTC, Sequence. Others are
// refused by name.
#include <functional>
#include <string>
#include <vector>

#include "graft/text/json_fields.h"

namespace graft {

class Decoder {
 public:
  Decoder() = default;  // no decoder: tokens with a space between them
  explicit Decoder(const TokenizerJson& json);
  std::string decode(std::vector<std::string> tokens) const;

 private:
  void add(const TokenizerJson& json, const std::string& where, int depth);
  std::vector<std::function<void(std::vector<std::string>&)>> steps_;
  bool present_ = false;
};

/// The byte that <0xNN> spells, or -1.
int fallback_byte(std::string_view token);

}  // namespace graft
