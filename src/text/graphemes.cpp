#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "graft/text/unicode.h"

namespace graft {
namespace {

struct CodeRange {
  char32_t first, last;
};

/// Marks of Unicode 16 and 17, which the reference (tokenizers 0.23) knows and utf8proc (Unicode 15) does not. The rule for Indic
/// conjuncts (GB9c, Unicode 15.1) is left out: it joins clusters that are too long to be looked up as a whole.
constexpr CodeRange newer_marks[] = {{0x0897, 0x0897},   {0x1acf, 0x1add},   {0x1ae0, 0x1aeb},   {0x10d69, 0x10d6d},
                                     {0x10efa, 0x10efc}, {0x113b8, 0x113c0}, {0x113c2, 0x113c2}, {0x113c5, 0x113c5},
                                     {0x113c7, 0x113ca}, {0x113cc, 0x113d0}, {0x113d2, 0x113d2}, {0x113e1, 0x113e2},
                                     {0x11b60, 0x11b67}, {0x11f5a, 0x11f5a}, {0x1611e, 0x1612f}, {0x1e5ee, 0x1e5ef},
                                     {0x1e6e3, 0x1e6e3}, {0x1e6e6, 0x1e6e6}, {0x1e6ee, 0x1e6ef}, {0x1e6f5, 0x1e6f5}};

/// The character, or an older one that breaks clusters where it does.
utf8proc_int32_t known_character(char32_t c) {
  if (c == 0x113D1) return 0x600;  // goes with the next one, since Unicode 16
  if (c == 0x11A3A) return 'x';    // no longer does
  const auto* range =
      std::find_if(std::begin(newer_marks), std::end(newer_marks), [&](const CodeRange& r) { return c <= r.last; });
  return range != std::end(newer_marks) && c >= range->first ? 0x301 : static_cast<utf8proc_int32_t>(c);
}

}  // namespace

size_t grapheme_end(std::string_view text, size_t begin) {
  size_t end = begin;
  auto left = known_character(next_code_point(text, end));
  for (utf8proc_int32_t state = 0; end < text.size();) {
    size_t next = end;
    const char32_t c = next_code_point(text, next);
    if (left >= ' ' && left < 0x7F && c >= ' ' && c < 0x7F) break;  // most texts
    const auto right = known_character(c);
    if (utf8proc_grapheme_break_stateful(left, right, &state)) break;
    left = right;
    end = next;
  }
  return end;
}

}  // namespace graft
