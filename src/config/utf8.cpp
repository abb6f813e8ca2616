#include "utf8.h"

#include <cstdint>

namespace graft {
namespace {

/// The length of the character that starts at `text[0]`, or 0 if it is not well formed (overlong, surrogate, beyond U+10FFFF,
/// cut).
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

}  // namespace

std::optional<size_t> first_bad_byte(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = text[at] == '\0' ? 0 : character_length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string with_whole_escapes(std::string scalar) {
  for (size_t at = 0; at < scalar.size(); ++at) {
    const auto bad = first_bad_byte(std::string_view(scalar).substr(at));
    if (!bad) break;
    at += *bad;
    if (scalar[at] == '\x85' || scalar[at] == '\xa0') scalar.insert(at++, 1, '\xc2');
  }
  return scalar;
}

}  // namespace graft
