#pragma once
// A text under change that remembers, for each of its bytes, which bytes of the input it came from. An unchanged text is a view
// of the input and costs nothing. A position where something is deleted or inserted keeps its place; replaced bytes come from all
// that they replace.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer.h"

namespace graft {

/// Replace text[begin, end) by `text`.
struct TextEdit {
  size_t begin, end;
  std::string text;
};

class AlignedText {
 public:
  /// `text` begins at byte `origin` of the input, and must outlive this.
  AlignedText(std::string_view text, size_t origin) : view_(text), origin_(origin) {}

  std::string_view text() const { return changed_ ? std::string_view(owned_) : view_; }
  /// Where in the input this text begins.
  size_t origin() const { return origin_; }
  /// The bytes of the input that text[begin, end) came from.
  TextRange source(size_t begin, size_t end) const;
  AlignedText slice(size_t begin, size_t end) const;
  /// Edits are sorted and disjoint.
  void apply(const std::vector<TextEdit>& edits);

 private:
  struct Source {
    uint32_t begin, end;
  };
  std::string_view view_;
  size_t origin_;
  bool changed_ = false;
  std::string owned_;            // the text, once changed
  std::vector<Source> sources_;  // of each byte of owned_
};

}  // namespace graft
