#include "graft/text/added_tokens.h"

#include <algorithm>
#include <array>

#include "graft/core/error.h"
#include "graft/text/regex.h"

namespace graft {
namespace {

/// Whether the character is one of a word's, as the oracle has it (Rust's \w).
bool is_word_character(std::string_view character) {
  static const Regex word = Regex::compile("[\\w\\u200c\\u200d]", "a word's character");
  std::vector<TextSpan> spans;
  word.find_all(character, spans);
  return spans.size() == 1 && spans[0].is_match;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0) {
    size_t at = begin;
    previous_code_point(text, at);
    if (is_word_character(text.substr(at, begin - at))) return false;
  }
  if (end == text.size()) return true;
  size_t at = end;
  next_code_point(text, at);
  return !is_word_character(text.substr(end, at - end));
}

size_t skip_space_back(std::string_view text, size_t begin, size_t limit) {
  for (size_t i = begin; i > limit && is_white_space(previous_code_point(text, i));) begin = i;
  return begin;
}

size_t skip_space(std::string_view text, size_t end) {
  for (size_t i = end; i < text.size() && is_white_space(next_code_point(text, i));) end = i;
  return end;
}

bool touches(std::span<const TextRange> ranges, TextRange range) {
  const auto first = std::partition_point(ranges.begin(), ranges.end(), [&](const TextRange& r) { return r.end <= range.begin; });
  return first != ranges.end() && first->begin < range.end;
}

}  // namespace

void StringTrie::add(std::string_view text, int32_t value) {
  size_t node = 0;
  for (const char byte : text) {
    const auto [edge, is_new] = edges_.try_emplace({node, byte}, values_.size());
    if (is_new) values_.push_back(-1);
    node = edge->second;
  }
  if (values_[node] < 0) values_[node] = value;
  begins_[static_cast<unsigned char>(text[0])] = true;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer) : tokens_(std::move(tokens)) {
  const auto add = [&](size_t index) {
    AddedToken& token = tokens_[index];
    AlignedText content(token.content, 0);
    if (token.normalized) normalizer.apply(content);
    token.spelling = content.text();
    require(!token.spelling.empty(), "added_tokens: '{}' is nothing once normalized", token.content);
    (token.normalized ? normalized_ : raw_).add(token.spelling, static_cast<int32_t>(index));
  };
  // Where two come to the same string, the oracle prefers the special one, then the first.
  for (size_t i = 0; i < tokens_.size(); ++i)
    if (tokens_[i].special) add(i);
  for (size_t i = 0; i < tokens_.size(); ++i)
    if (!tokens_[i].special) add(i);
}

void AddedTokens::split(const AlignedText& aligned, Pass pass, bool parse_special, std::span<const TextRange> literal,
                        std::vector<TextPart>& out) const {
  const std::string_view text = aligned.text();
  const StringTrie& strings = trie(pass);
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = nullptr;
    size_t length = 0;
    if (strings.can_begin(text[at])) {
      strings.match(text.substr(at), [&](size_t candidate_length, int32_t index) {
        const AddedToken& candidate = tokens_[static_cast<size_t>(index)];
        if (candidate.special && !literal.empty() && touches(literal, aligned.source(at, at + candidate_length))) return;
        token = &candidate, length = candidate_length;
      });
    }
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;  // also behind a token that does not count here: so does the oracle
    if (token->special && !parse_special) continue;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(done, skip_space_back(text, begin, done));
    if (token->rstrip) end = skip_space(text, end);
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, end, token->id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

}  // namespace graft
