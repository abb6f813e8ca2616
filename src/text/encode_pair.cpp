#include "tokenizer_impl.h"

namespace graft {
namespace {

/// White space at an end of a token, and how many bytes of the input it stands for.
struct Space {
  size_t characters = 0, bytes = 0;
  /// False for what is no white space. A byte-level token spells a space as Ġ.
  bool add(char32_t c, size_t length) {
    const bool is_spelled = byte_of_char(c) == ' ';
    if (!is_spelled && !is_white_space(c)) return false;
    ++characters;
    bytes += is_spelled ? 1 : length;
    return true;
  }
};

Space leading_space(std::string_view token) {
  Space space;
  for (size_t at = 0, end = 0; end < token.size(); at = end) {
    const char32_t c = next_code_point(token, end);
    if (!space.add(c, end - at)) break;
  }
  return space;
}

Space trailing_space(std::string_view token) {
  Space space;
  for (size_t at = token.size(), end = at; at > 0; end = at) {
    const char32_t c = previous_code_point(token, at);
    if (!space.add(c, end - at)) break;
  }
  return space;
}

}  // namespace

/// As the oracle does it, also where it takes the space that the pre-tokenizer put before a later part for one of the text.
void Tokenizer::Impl::trim_offsets(std::string_view text, size_t first, Encoding& out) const {
  for (size_t i = first; i < out.ids.size(); ++i) {
    TextRange& range = out.offsets[i];
    const std::string_view token = tokens[static_cast<size_t>(out.ids[i])];
    // An added token may have swallowed white space. The model may have made it too, from a part of a character.
    const std::string_view source = text.substr(range.begin, range.end - range.begin);
    const bool is_added = added_ids.contains(std::string(token)) && find_invalid_utf8(source) == std::string_view::npos;
    const std::string_view spelled = is_added ? source : token;
    const Space before = leading_space(spelled), behind = trailing_space(spelled);
    const bool kept = post_processor.trim->keeps_first && before.characters == 1 && (i == first || range.begin == 0);
    if (!kept) range.begin = std::min(range.begin + before.bytes, range.end);
    if (range.end >= behind.bytes) range.end = std::max(range.end - behind.bytes, range.begin);
  }
}

PairEncoding Tokenizer::join_pair(std::span<const int32_t> a, std::optional<std::span<const int32_t>> b) const {
  PairEncoding out;
  for (const TemplatePiece& piece : b ? impl_->post_processor.pair : impl_->post_processor.single) {
    const std::span<const int32_t> ids = piece.sequence < 0 ? std::span(&piece.id, 1) : piece.sequence == 0 ? a : *b;
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.type_ids.insert(out.type_ids.end(), ids.size(), piece.type_id);
  }
  return out;
}

PairEncoding Tokenizer::encode_pair(std::string_view a, std::optional<std::string_view> b) const {
  const std::vector<int32_t> first = encode(a);
  return b ? join_pair(first, encode(*b)) : join_pair(first);
}

}  // namespace graft
