#include <utf8proc.h>

#include <algorithm>
#include <unordered_set>

#include "graft/text/normalizer.h"

namespace graft {
namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

/// Of a decomposition; `is_first` of its character's parts.
struct Part {
  utf8proc_int32_t c;
  bool is_first;
};

bool is_composing(NormalForm form) { return form == NormalForm::nfc || form == NormalForm::nfkc; }

/// Below it, a character stands for itself and begins anew.
char32_t first_unstable(NormalForm form) {
  return form == NormalForm::nfkc || form == NormalForm::nfkd ? 0xA0 : form == NormalForm::nfd ? 0xC0 : 0x300;
}

int combining_class(utf8proc_int32_t c) {
  return is_known_to_normalization(static_cast<char32_t>(c)) ? utf8proc_get_property(c)->combining_class : 0;
}

void decompose(char32_t c, NormalForm form, CodePoints& out) {
  if (!is_known_to_normalization(c)) return out.push_back(static_cast<utf8proc_int32_t>(c));
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  utf8proc_int32_t parts[32];
  int last = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32, options, &last);
  out.insert(out.end(), parts, parts + count);
}

/// Characters of class 0 that may be the later half of a composition (Hangul vowels and tails, some Indic vowel signs).
const std::unordered_set<utf8proc_int32_t>& later_halves() {
  static const auto halves = [] {
    std::unordered_set<utf8proc_int32_t> found;
    CodePoints parts;
    for (char32_t c = 0xA0; c < 0x20000; ++c) {
      parts.clear();
      decompose(c, NormalForm::nfd, parts);
      for (size_t i = 1; i < parts.size(); ++i)
        if (combining_class(parts[i]) == 0) found.insert(parts[i]);
    }
    return found;
  }();
  return halves;
}

/// Whether nothing at or after `c` interacts with what is before it.
bool begins_anew(char32_t c, NormalForm form, CodePoints& scratch) {
  if (c < 0x300) return true;
  scratch.clear();
  decompose(c, form, scratch);
  return combining_class(scratch[0]) == 0 && !later_halves().contains(scratch[0]);
}

void order_marks(std::vector<Part>& text) {
  const auto is_starter = [](const Part& part) { return combining_class(part.c) == 0; };
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if_not(begin, text.end(), is_starter);
    const auto end = std::find_if(begin, text.end(), is_starter);
    std::stable_sort(begin, end, [](const Part& a, const Part& b) { return combining_class(a.c) < combining_class(b.c); });
    begin = end;
  }
}

void compose(CodePoints& text) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto size = utf8proc_normalize_utf32(text.data(), static_cast<utf8proc_ssize_t>(text.size()), options);
  if (size >= 0) text.resize(static_cast<size_t>(size));
}

std::vector<Part> decomposition(std::string_view segment, NormalForm form) {
  std::vector<Part> parts;
  CodePoints points;
  for (size_t i = 0; i < segment.size();) {
    points.clear();
    decompose(next_code_point(segment, i), form, points);
    for (size_t k = 0; k < points.size(); ++k) parts.push_back({points[k], k == 0});
  }
  order_marks(parts);
  return parts;
}

/// One edit, for what became of which character is not known.
void compose_segment(std::string_view text, size_t begin, size_t end, NormalForm form, std::vector<TextEdit>& edits) {
  CodePoints points;
  for (const Part& part : decomposition(text.substr(begin, end - begin), form)) points.push_back(part.c);
  compose(points);
  std::string out;
  for (const auto c : points) append_utf8(out, static_cast<char32_t>(c));
  if (out != text.substr(begin, end - begin)) edits.push_back({begin, end, std::move(out)});
}

/// An edit a character. Where marks traded places, the k-th first part stands for the k-th character, as the oracle aligns them.
void decompose_segment(std::string_view text, size_t begin, size_t end, NormalForm form, std::vector<TextEdit>& edits) {
  const std::vector<Part> parts = decomposition(text.substr(begin, end - begin), form);
  std::string out;
  for (size_t i = begin, k = 0; i < end;) {
    const size_t character = i;
    next_code_point(text, i);
    out.clear();
    do append_utf8(out, static_cast<char32_t>(parts[k].c));
    while (++k < parts.size() && !parts[k].is_first);
    if (out != text.substr(character, i - character)) edits.push_back({character, i, out});
  }
}

}  // namespace

std::vector<TextEdit> normal_form_edits(std::string_view text, NormalForm form) {
  std::vector<TextEdit> edits;
  CodePoints scratch;
  const char32_t unstable = first_unstable(form);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    const char32_t first = next_code_point(text, end);
    bool single = true;
    for (size_t next = end; next < text.size(); end = next, single = false)
      if (begins_anew(next_code_point(text, next), form, scratch)) break;
    if (!single || first >= unstable) (is_composing(form) ? compose_segment : decompose_segment)(text, begin, end, form, edits);
    begin = end;
  }
  return edits;
}

}  // namespace graft
