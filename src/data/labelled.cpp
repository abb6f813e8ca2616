// Labelled texts and words as ids, types and labels.
#include <algorithm>
#include <bit>

#include "graft/core/error.h"
#include "graft/data/labels.h"
#include "graft/data/sample.h"

namespace graft {

namespace {

using Ids = std::vector<int32_t>;

/// How many of the tokens of a text, or of two, are kept within `limit`: the longer text loses first (tokenizers' longest_first).
std::pair<size_t, size_t> kept_lengths(size_t a, size_t b, size_t limit) {
  if (a + b <= limit) return {a, b};
  const bool swapped = a > b;
  if (swapped) std::swap(a, b);
  b = a > limit ? a : std::max(a, limit - a);
  if (a + b > limit) a = limit / 2, b = a + limit % 2;
  return swapped ? std::pair(b, a) : std::pair(a, b);
}

/// Whether a sample of so many tokens is to be cut, and to how many.
bool is_cut(size_t length, const DataOptions& options) { return length > static_cast<size_t>(options.max_length) && options.overlong == "truncate"; }

std::optional<std::span<const int32_t>> view(const std::optional<Ids>& ids) {
  return ids ? std::optional<std::span<const int32_t>>(*ids) : std::nullopt;
}

int32_t label_of(const Json& label, const Task& task) {
  if (task.kind == TaskKind::regression) return std::bit_cast<int32_t>(label.is_null() ? 0.0f : label_value(label));
  return label.is_null() ? 0 : label_id(label, task);
}

/// Words joined by single spaces, and where each begins.
std::string joined(const std::vector<std::string>& words, std::vector<size_t>& begins) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    begins.push_back(text.size());
    text += word;
  }
  return text;
}

/// The labels of tokens: a word's at the first that reaches into it.
std::vector<int32_t> token_labels(const Encoding& encoding, const std::vector<size_t>& begins, const std::vector<int32_t>& labels) {
  std::vector<int32_t> out(encoding.ids.size(), no_label);
  size_t word = 0;
  for (size_t t = 0; t < out.size() && word < labels.size(); ++t) {
    if (encoding.offsets[t].end <= begins[word]) continue;
    while (word + 1 < labels.size() && encoding.offsets[t].end > begins[word + 1]) ++word;   // words of which nothing is left, or in one token
    out[t] = labels[word++];
  }
  return out;
}

}  // namespace

SampleTokens encode_labelled(const LabelledText& sample, const DataOptions& options, const Tokenizer& tokenizer, const Task& task) {
  const EncodeOptions literal{.add_special_tokens = false, .parse_special = options.allow_special_tokens_in_content, .literal = {}};
  Ids a = tokenizer.encode(sample.text, literal);
  std::optional<Ids> b;
  if (sample.pair) b = tokenizer.encode(*sample.pair, literal);
  PairEncoding encoded = tokenizer.join_pair(a, view(b));
  SampleTokens tokens;
  if (is_cut(encoded.ids.size(), options)) {
    const size_t special = encoded.ids.size() - a.size() - (b ? b->size() : 0), limit = static_cast<size_t>(options.max_length);
    require(special < limit, "data.max_length {}: the {} special tokens leave no room", limit, special);
    const auto [first, second] = kept_lengths(a.size(), b ? b->size() : 0, limit - special);
    a.resize(first);
    if (b) b->resize(second);
    encoded = tokenizer.join_pair(a, view(b));
    tokens.truncated = true;
  }
  tokens.ids = std::move(encoded.ids), tokens.types = std::move(encoded.type_ids);
  tokens.labels = {label_of(sample.label, task)};
  return tokens;
}

SampleTokens encode_labelled(const TaggedWords& sample, const DataOptions& options, const Tokenizer& tokenizer, const Task& task) {
  std::vector<int32_t> labels(sample.words.size(), 0);
  for (size_t i = 0; i < sample.tags.size(); ++i) labels[i] = label_id(sample.tags[i], task);
  std::vector<size_t> begins;
  const std::string text = joined(sample.words, begins);
  const Encoding encoding = tokenizer.encode_with_offsets(text, {.add_special_tokens = false, .parse_special = options.allow_special_tokens_in_content, .literal = {}});
  std::vector<int32_t> inner = token_labels(encoding, begins, labels);
  Ids ids = encoding.ids;
  const Ids mark{-1};   // shows where the template puts the text
  const Ids around = tokenizer.join_pair(mark).ids;
  const auto front = static_cast<size_t>(std::ranges::find(around, -1) - around.begin());
  SampleTokens tokens;
  if (is_cut(ids.size() + around.size() - 1, options)) {
    const size_t limit = static_cast<size_t>(options.max_length), special = around.size() - 1;
    require(special < limit, "data.max_length {}: the {} special tokens leave no room", limit, special);
    ids.resize(limit - special), inner.resize(limit - special);
    tokens.truncated = true;
  }
  PairEncoding encoded = tokenizer.join_pair(ids);
  tokens.labels.assign(encoded.ids.size(), no_label);
  std::ranges::copy(inner, tokens.labels.begin() + static_cast<std::ptrdiff_t>(front));
  tokens.ids = std::move(encoded.ids), tokens.types = std::move(encoded.type_ids);
  return tokens;
}

}  // namespace graft
