#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "graft/text/unicode.h"

// The tables hold where the reference (tokenizers 0.23) is older than utf8proc (Unicode 15): found by asking both about every
// code point. They never grow: later characters are outside what the reference's tables know, and it does not update them.
namespace graft {
namespace {

struct CodeRange {
  char32_t first, last;
};

/// Marks and characters with a decomposition or combining class that the reference's normalization (Unicode 9) does not know.
constexpr CodeRange unknown_to_normalization[] = {
    {0x07fd, 0x07fd},   {0x0898, 0x089f},   {0x08ca, 0x08d3},   {0x09fe, 0x09fe},   {0x0afa, 0x0aff},   {0x0b55, 0x0b55},
    {0x0c04, 0x0c04},   {0x0c3c, 0x0c3c},   {0x0cf3, 0x0cf3},   {0x0d00, 0x0d00},   {0x0d3b, 0x0d3c},   {0x0d81, 0x0d81},
    {0x0eba, 0x0eba},   {0x0ece, 0x0ece},   {0x1715, 0x1715},   {0x180f, 0x180f},   {0x1abf, 0x1ace},   {0x1cf7, 0x1cf7},
    {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xa82c, 0xa82c},   {0xa8ff, 0xa8ff},   {0xab69, 0xab69},
    {0x10781, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11074}, {0x110c2, 0x110c2}, {0x11145, 0x11146}, {0x111c9, 0x111c9}, {0x111ce, 0x111cf}, {0x11241, 0x11241},
    {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x1182c, 0x1183a}, {0x11930, 0x11943}, {0x119d1, 0x119e4}, {0x11a01, 0x11a0a},
    {0x11a33, 0x11a5b}, {0x11a8a, 0x11a99}, {0x11d31, 0x11d47}, {0x11d8a, 0x11d97}, {0x11ef3, 0x11f03}, {0x11f34, 0x11f42},
    {0x13440, 0x13455}, {0x16f4f, 0x16f4f}, {0x16f7f, 0x16f87}, {0x16fe4, 0x16ff1}, {0x1cf00, 0x1cf46}, {0x1e030, 0x1e06d},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c},
    {0x1fbf0, 0x1fbf9}};

/// Punctuation that the reference's tables (Unicode 8) do not know.
constexpr CodeRange unknown_punctuation[] = {
    {0x061d, 0x061d},   {0x09fd, 0x09fd},   {0x0a76, 0x0a76},   {0x0c77, 0x0c77},   {0x0c84, 0x0c84},   {0x1b7d, 0x1b7e},
    {0x2e43, 0x2e5d},   {0x10ead, 0x10ead}, {0x10f55, 0x10f59}, {0x10f86, 0x10f89}, {0x1144b, 0x1145d}, {0x11660, 0x1166c},
    {0x116b9, 0x116b9}, {0x1183b, 0x1183b}, {0x11944, 0x11946}, {0x119e2, 0x119e2}, {0x11a3f, 0x11a46}, {0x11a9a, 0x11aa2},
    {0x11b00, 0x11b09}, {0x11c41, 0x11c45}, {0x11c70, 0x11c71}, {0x11ef7, 0x11ef8}, {0x11f43, 0x11f4f}, {0x11fff, 0x11fff},
    {0x12ff1, 0x12ff2}, {0x16e97, 0x16e9a}, {0x16fe2, 0x16fe2}, {0x1e95e, 0x1e95f}};

/// Nonspacing marks that they do not know. Here and below, what lies between two of them is of another category.
constexpr CodeRange unknown_nonspacing[] = {
    {0x07fd, 0x07fd},   {0x0898, 0x08e1},   {0x09fe, 0x09fe},   {0x0afa, 0x0aff},   {0x0b55, 0x0b55},   {0x0c04, 0x0c3c},
    {0x0d00, 0x0d00},   {0x0d3b, 0x0d3c},   {0x0d81, 0x0d81},   {0x0eba, 0x0eba},   {0x0ece, 0x0ece},   {0x180f, 0x1886},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfb},   {0xa82c, 0xa82c},   {0xa8c5, 0xa8c5},   {0xa8ff, 0xa8ff},   {0xa9bd, 0xa9bd},
    {0x10d24, 0x10f85}, {0x11070, 0x11074}, {0x110c2, 0x110c2}, {0x111c9, 0x111c9}, {0x111cf, 0x111cf}, {0x1123e, 0x11241},
    {0x1133b, 0x1133b}, {0x11438, 0x1145e}, {0x1182f, 0x13455}, {0x16f4f, 0x16f4f}, {0x16fe4, 0x16fe4}, {0x1cf00, 0x1cf46},
    {0x1e000, 0x1e4ef}, {0x1e944, 0x1e94a}};

/// Format characters that they do not know.
constexpr CodeRange unknown_format[] = {{0x0890, 0x08e2}, {0x110cd, 0x1343f}};

/// Capitals of Unicode 16 and 17, which the reference's lower case knows and utf8proc does not.
constexpr struct {
  char32_t first, last, lower;
} newer_capitals[] = {{0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x0264},   {0xa7cc, 0xa7cc, 0xa7cd}, {0xa7ce, 0xa7ce, 0xa7cf},
                      {0xa7d2, 0xa7d2, 0xa7d3},    {0xa7d4, 0xa7d4, 0xa7d5},   {0xa7da, 0xa7da, 0xa7db}, {0xa7dc, 0xa7dc, 0x019b},
                      {0x10d50, 0x10d65, 0x10d70}, {0x16ea0, 0x16eb8, 0x16ebb}};

char32_t lower_case(char32_t c) {
  if (c >= newer_capitals[0].first)
    for (const auto& [first, last, lower] : newer_capitals)
      if (c >= first && c <= last) return lower + (c - first);
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

template <size_t n>
bool holds(const CodeRange (&table)[n], char32_t c) {
  const auto after = std::upper_bound(table, table + n, c, [](char32_t x, const CodeRange& range) { return x < range.first; });
  return after != table && c <= std::prev(after)->last;
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > 32 && c < 127 && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
  if (c == 0x166D || c == 0x111C9) return true;  // they were, in Unicode 8
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO && !holds(unknown_punctuation, c);
}

bool is_known_to_normalization(char32_t c) { return c < 0x7FD || !holds(unknown_to_normalization, c); }

bool is_combining_mark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // they were, in Unicode 9
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME && is_known_to_normalization(c);
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  return c == 0x1734 || (category(c) == UTF8PROC_CATEGORY_MN && !holds(unknown_nonspacing, c));  // 1734: it was, in Unicode 8
}

bool is_control(char32_t c) {
  if (c < 0x80) return c < 32 || c == 127;
  const auto kind = category(c);
  if (kind == UTF8PROC_CATEGORY_CF) return !holds(unknown_format, c);
  return kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CO;
}

void append_lowercase(std::string& out, char32_t c) {
  if (c == 0x130) {
    out += "i\xCC\x87";  // the one character whose lower case is two
  } else {
    append_utf8(out, lower_case(c));
  }
}

}  // namespace graft
