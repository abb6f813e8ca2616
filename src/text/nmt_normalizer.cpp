#include "edit_characters.h"
#include "graft/text/normalizer.h"

namespace graft {
namespace {

bool is_removed(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

bool is_space(char32_t c) {
  return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
         c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

}  // namespace

void nmt_normalize(AlignedText& text) {
  edit_characters(text, [](std::string& out, char32_t c) {
    if (is_removed(c)) return;
    if (is_space(c)) {
      out += ' ';
    } else {
      append_utf8(out, c);
    }
  });
}

}  // namespace graft
