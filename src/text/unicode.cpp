#include "graft/text/unicode.h"

#include <utf8proc.h>

#include <array>

namespace graft {
namespace {

/// Length of the well-formed sequence at the front of `s`; otherwise minus the length of its maximal ill-formed part.
int sequence_length(std::string_view s) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return -1;
  for (int i = 2; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return -i;
  return length;
}

bool is_self_spelled(unsigned byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD); }

struct ByteAlphabet {
  std::array<char32_t, 256> to_char{};
  std::array<int16_t, 512> to_byte{};
  ByteAlphabet() {
    to_byte.fill(-1);
    char32_t next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      to_char[byte] = is_self_spelled(byte) ? byte : next++;
      to_byte[to_char[byte]] = static_cast<int16_t>(byte);
    }
  }
};
const ByteAlphabet byte_alphabet;

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const int length = sequence_length(text.substr(i, 4));
    if (length < 0) return i;
    i += static_cast<size_t>(length);
  }
  return std::string_view::npos;
}

char32_t next_code_point(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t at = position;
  const char32_t lead = byte(at);
  if (lead < 0x80) return position = at + 1, lead;
  if (lead < 0xE0) return position = at + 2, (lead & 0x1F) << 6 | (byte(at + 1) & 0x3F);
  if (lead < 0xF0) return position = at + 3, (lead & 0x0F) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
  position = at + 4;
  return (lead & 0x07) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 | (byte(at + 3) & 0x3F);
}

char32_t previous_code_point(std::string_view text, size_t& position) {
  do --position;
  while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  size_t at = position;
  return next_code_point(text, at);
}

void append_utf8(std::string& out, char32_t c) {
  utf8proc_uint8_t bytes[4];
  out.append(reinterpret_cast<char*>(bytes), static_cast<size_t>(utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes)));
}

std::string lossy_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const int length = sequence_length(bytes.substr(i, 4));
    if (length > 0) {
      out.append(bytes.substr(i, static_cast<size_t>(length)));
    } else {
      out += "\xEF\xBF\xBD";
    }
    i += static_cast<size_t>(std::abs(length));
  }
  return out;
}

char32_t char_of_byte(unsigned char byte) { return byte_alphabet.to_char[byte]; }

int byte_of_char(char32_t c) { return c < byte_alphabet.to_byte.size() ? byte_alphabet.to_byte[c] : -1; }

std::string spell_bytes(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) append_utf8(out, char_of_byte(static_cast<unsigned char>(byte)));
  return out;
}

}  // namespace graft
