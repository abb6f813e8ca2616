#pragma once
// Cutting words at what a pattern finds, with the five ways to treat what it found.
#include <string_view>
#include <vector>

#include "graft/text/pretokenizer.h"

namespace graft {

enum class SplitBehavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

/// `find(text, spans)` appends the spans that cover `text`.
using Finder = std::function<void(std::string_view, std::vector<TextSpan>&)>;

Finder find_regex(Regex regex, bool invert);
Finder find_characters(bool (*is_match)(char32_t));
Finder find_character(char32_t c);

/// From spans that cover a text to the ranges that remain words. Empty ones are dropped.
void merge_spans(const std::vector<TextSpan>& spans, SplitBehavior behavior, size_t offset, std::vector<TextRange>& out);
void split_words(Words& words, const Finder& find, SplitBehavior behavior);

/// Cuts words where the script changes; into words of `length` characters.
void split_at_scripts(Words& words);
void split_by_length(Words& words, size_t length);

/// Changes every word: `edit(word, begin, edits)` appends edits of the word, whose text begins at `begin`.
void edit_words(Words& words, const std::function<void(std::string_view, size_t, std::vector<TextEdit>&)>& edit);

}  // namespace graft
