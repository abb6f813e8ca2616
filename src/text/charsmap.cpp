#include "graft/text/charsmap.h"

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// A unit of the trie: the byte that leads to it, where its children are (exclusive or with their bytes), whether a string ends
// here. Then the child of the zero byte is the string's value.
bool has_value(uint32_t unit) { return unit >> 8 & 1; }
uint32_t label(uint32_t unit) { return unit & (1U << 31 | 0xFF); }
size_t children(uint32_t unit) { return size_t{unit >> 10} << ((unit & 1U << 9) >> 6); }
size_t value(uint32_t unit) { return unit & ((1U << 31) - 1); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  require(bytes.size() >= 4, "{}: a charsmap of {} bytes is too short", where, bytes.size());
  const size_t trie = little_endian(bytes, 0);
  require(trie > 0 && trie % 4 == 0 && trie <= bytes.size() - 4, "{}: the charsmap's trie cannot have {} of its {} bytes", where,
          trie, bytes.size());
  units_.reserve(trie / 4);
  for (size_t at = 4; at < 4 + trie; at += 4) units_.push_back(little_endian(bytes, at));
  replacements_ = bytes.substr(4 + trie);
  require(find_invalid_utf8(replacements_) == std::string::npos, "{}: the charsmap's replacements are not valid UTF-8", where);
}

uint32_t Charsmap::unit(size_t at) const {
  require(at < units_.size(), "the normalizer's charsmap leads outside its trie of {} units", units_.size());
  return units_[at];
}

std::string_view Charsmap::text_at(size_t at) const {
  const std::string_view all = replacements_;
  require(at < all.size() && (static_cast<unsigned char>(all[at]) & 0xC0) != 0x80,
          "the normalizer's charsmap leads outside its {} bytes of replacements", all.size());
  return all.substr(at, std::min(all.find('\0', at), all.size()) - at);
}

std::optional<std::string_view> Charsmap::replacement(std::string_view text) const {
  size_t node = children(unit(0));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    const uint32_t here = unit(node);
    if (label(here) != byte) return std::nullopt;
    node ^= children(here);
    if (has_value(here)) return text_at(value(unit(node)));
  }
  return std::nullopt;
}

std::string base64_bytes(std::string_view text, std::string_view where) {
  const auto bad = [&] { refuse("{}: not valid base64", where); };
  if (text.size() % 4 != 0) bad();
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += 4) {
    const size_t kept = at + 4 < text.size() ? 4 : std::min<size_t>(text.find('=', at) - at, 4);
    if (kept < 2 || text.substr(at + kept, 4 - kept) != std::string_view("==").substr(0, 4 - kept)) bad();
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t digit = i < kept ? digits.find(text[at + i]) : 0;
      if (digit == std::string_view::npos) bad();
      bits = bits << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t i = 0; i + 1 < kept; ++i) bytes += static_cast<char>(bits >> (16 - 8 * i));
  }
  return bytes;
}

std::string base64_text(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t kept = std::min<size_t>(bytes.size() - at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < kept ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (size_t i = 0; i < 4; ++i) text += i <= kept ? digits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

}  // namespace graft
