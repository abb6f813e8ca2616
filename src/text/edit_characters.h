#pragma once
#include "graft/text/aligned_text.h"
#include "graft/text/unicode.h"

namespace graft {

/// Changes every character: `replacement(out, character)` appends what stands in its place.
template <class F>
void edit_characters(AlignedText& text, F&& replacement) {
  std::vector<TextEdit> edits;
  const std::string_view old = text.text();
  std::string now;
  for (size_t i = 0; i < old.size();) {
    const size_t begin = i;
    now.clear();
    replacement(now, next_code_point(old, i));
    if (now != old.substr(begin, i - begin)) edits.push_back({begin, i, now});
  }
  text.apply(edits);
}

}  // namespace graft
