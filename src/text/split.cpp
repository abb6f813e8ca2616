#include "graft/text/split.h"

#include <algorithm>

#include "graft/text/unicode.h"

namespace graft {
namespace {

template <class F>
void find_each(std::string_view text, F&& is_match, std::vector<TextSpan>& spans) {
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (!is_match(next_code_point(text, i))) continue;
    if (done < begin) spans.push_back({done, begin, false});
    spans.push_back({begin, i, true});
    done = i;
  }
  if (done < text.size()) spans.push_back({done, text.size(), false});
}

/// Whether a span joins the one put out before it (in the order of going through them).
bool joins(SplitBehavior behavior, bool is_match, bool previous_match) {
  if (behavior == SplitBehavior::contiguous) return is_match == previous_match;
  return is_match && !previous_match;
}

}  // namespace

Finder find_regex(Regex regex, bool invert) {
  return [regex = std::move(regex), invert](std::string_view text, std::vector<TextSpan>& spans) {
    regex.find_all(text, spans);
    if (!invert) return;
    for (TextSpan& span : spans) span.is_match = !span.is_match;
  };
}

Finder find_characters(bool (*is_match)(char32_t)) {
  return [is_match](std::string_view text, std::vector<TextSpan>& spans) { find_each(text, is_match, spans); };
}

Finder find_character(char32_t c) {
  return [c](std::string_view text, std::vector<TextSpan>& spans) {
    find_each(
        text, [c](char32_t other) { return other == c; }, spans);
  };
}

void merge_spans(const std::vector<TextSpan>& spans, SplitBehavior behavior, size_t offset, std::vector<TextRange>& out) {
  const size_t first = out.size();
  const bool backwards = behavior == SplitBehavior::merged_with_next;
  bool previous_match = false;
  for (size_t k = 0; k < spans.size(); ++k) {
    const TextSpan& span = spans[backwards ? spans.size() - 1 - k : k];
    const TextRange range{offset + span.begin, offset + span.end};
    if (behavior == SplitBehavior::isolated || behavior == SplitBehavior::removed) {
      if (behavior == SplitBehavior::isolated || !span.is_match) out.push_back(range);
    } else if (out.size() > first && joins(behavior, span.is_match, previous_match)) {
      (backwards ? out.back().begin : out.back().end) = backwards ? range.begin : range.end;
    } else {
      out.push_back(range);
    }
    previous_match = span.is_match;
  }
  if (backwards) std::reverse(out.begin() + static_cast<ptrdiff_t>(first), out.end());
  const auto is_empty = [](const TextRange& range) { return range.begin == range.end; };
  out.erase(std::remove_if(out.begin() + static_cast<ptrdiff_t>(first), out.end(), is_empty), out.end());
}

void split_words(Words& words, const Finder& find, SplitBehavior behavior) {
  std::vector<TextRange> ranges;
  std::vector<TextSpan> spans;
  for (const TextRange& word : words.ranges) {
    spans.clear();
    find(words.text.text().substr(word.begin, word.end - word.begin), spans);
    merge_spans(spans, behavior, word.begin, ranges);
  }
  words.ranges = std::move(ranges);
}

void split_by_length(Words& words, size_t length) {
  std::vector<TextRange> ranges;
  const std::string_view text = words.text.text();
  for (const TextRange& word : words.ranges)
    for (size_t begin = word.begin, at = begin; at < word.end; begin = at) {
      for (size_t count = 0; count < length && at < word.end; ++count) next_code_point(text, at);
      ranges.push_back({begin, at});
    }
  words.ranges = std::move(ranges);
}

void edit_words(Words& words, const std::function<void(std::string_view, size_t, std::vector<TextEdit>&)>& edit) {
  std::vector<TextEdit> edits;
  size_t shift = 0;  // wraps around where the text shrinks
  for (TextRange& word : words.ranges) {
    const size_t first = edits.size(), begin = word.begin;
    edit(words.text.text().substr(begin, word.end - begin), begin, edits);
    word.begin += shift;
    for (size_t i = first; i < edits.size(); ++i) shift += edits[i].text.size() - (edits[i].end - edits[i].begin);
    word.end += shift;
  }
  words.text.apply(edits);
}

}  // namespace graft
