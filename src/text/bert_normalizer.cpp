#include "edit_characters.h"
#include "graft/text/normalizer.h"

namespace graft {
namespace {

/// The reference's ranges, its odd 2B920 (for 2B820) included.
bool is_chinese(char32_t c) {
  return (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_removed(char32_t c) { return c == 0xFFFD || (is_control(c) && c != '\t' && c != '\n' && c != '\r'); }

struct BertNormalizer {
  bool clean_text, handle_chinese_chars, strip_accents, lowercase;

  void operator()(AlignedText& text) const {
    if (clean_text || handle_chinese_chars) edit_characters(text, [this](std::string& out, char32_t c) { clean(out, c); });
    if (strip_accents) text.apply(normal_form_edits(text.text(), NormalForm::nfd));
    if (strip_accents || lowercase) edit_characters(text, [this](std::string& out, char32_t c) { simplify(out, c); });
  }

  void clean(std::string& out, char32_t c) const {
    if (clean_text && is_removed(c)) return;
    if (clean_text && is_white_space(c)) {
      out += ' ';
    } else if (handle_chinese_chars && is_chinese(c)) {
      out += ' ';
      append_utf8(out, c);
      out += ' ';
    } else {
      append_utf8(out, c);
    }
  }

  void simplify(std::string& out, char32_t c) const {
    if (strip_accents && is_nonspacing_mark(c)) return;
    if (lowercase) return append_lowercase(out, c);
    append_utf8(out, c);
  }
};

}  // namespace

std::function<void(AlignedText&)> bert_normalizer(const TokenizerJson& json, std::string_view where) {
  const bool lowercase = bool_field(json, "lowercase", true, where);
  return BertNormalizer{bool_field(json, "clean_text", true, where), bool_field(json, "handle_chinese_chars", true, where),
                        bool_field(json, "strip_accents", lowercase, where), lowercase};
}

}  // namespace graft
