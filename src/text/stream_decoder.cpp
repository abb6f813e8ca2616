#include "graft/text/decoder.h"
#include "graft/text/tokenizer.h"

namespace graft {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {}

std::string StreamDecoder::add(int32_t id) {
  if (skip_special_tokens_ && tokenizer_.is_special(id)) return "";
  pending_.push_back(id);
  // A run of <0xNN> is decoded as a whole, and a character may still lack bytes.
  if (fallback_byte(tokenizer_.id_to_token(id)) >= 0) return "";
  std::string text = tokenizer_.decode(pending_, false);
  if (text.ends_with("\xEF\xBF\xBD") || text.size() < shown_.size()) return "";
  std::string fresh = text.substr(shown_.size());
  pending_ = {id};  // what comes next may depend on this one (a first token loses its space)
  shown_ = tokenizer_.decode(pending_, false);
  return fresh;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(pending_, false);
  std::string fresh = text.size() > shown_.size() ? text.substr(shown_.size()) : "";
  pending_.clear();
  shown_.clear();
  return fresh;
}

}  // namespace graft
