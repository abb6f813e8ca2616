#include "graft/text/bpe.h"

#include <utility>

#include "graft/text/unicode.h"

namespace graft {

void Bpe::encode(std::string_view word, std::vector<TokenPiece>& out) const {
  if (word.empty()) return;
  if (ignore_merges_)
    if (const auto id = token_to_id(word)) return out.push_back({*id, static_cast<uint32_t>(word.size())});
  const size_t first = out.size();
  first_pieces(word, out);
  merge_pieces(merges_, out, first);
}

void Bpe::encode_bytes(std::string_view word, std::vector<TokenPiece>& out) const {
  const size_t first = out.size();
  if (ignore_merges_)
    if (const auto id = token_to_id(spell_bytes(word))) return out.push_back({*id, static_cast<uint32_t>(word.size())});
  bool plain = has_byte_pieces_;
  for (size_t i = 0; plain && i < word.size(); ++i) {
    const int32_t id = byte_pieces_[static_cast<unsigned char>(word[i])];
    plain = id >= 0;
    out.push_back({id, 1});
  }
  if (plain) return merge_pieces(merges_, out, first);
  out.resize(first);
  TokenModel::encode_bytes(word, out);
}

size_t Bpe::part_end(std::string_view word, size_t begin) const {
  if (!can_cut_) return word.size();
  const auto is_token = [this](char32_t c) { return joints_.find(static_cast<int32_t>(c), -1) != nullptr; };
  size_t at = begin;
  char32_t left = next_code_point(word, at);
  for (bool left_known = is_token(left); at < word.size();) {
    size_t behind = at;
    const char32_t right = next_code_point(word, behind);
    const bool right_known = is_token(right);
    if (left_known && right_known && !joints_.find(static_cast<int32_t>(left), static_cast<int32_t>(right))) return at;
    left = right;
    left_known = right_known;
    at = behind;
  }
  return word.size();
}

/// The word's characters as tokens, before any merge.
void Bpe::first_pieces(std::string_view word, std::vector<TokenPiece>& out) const {
  const size_t first = out.size();
  std::optional<TokenPiece> unknown;  // held back, for the next one may join it
  uint32_t skipped = 0;               // bytes that have no token: they count to the next one
  std::string decorated;
  for (size_t i = 0; i < word.size();) {
    const size_t begin = i;
    next_code_point(word, i);
    const auto length = static_cast<uint32_t>(i - begin);
    std::string_view piece = word.substr(begin, length);
    if ((begin > 0 && prefix_) || (i == word.size() && suffix_)) {
      decorated = begin > 0 && prefix_ ? *prefix_ : "";
      decorated += piece;
      if (i == word.size() && suffix_) decorated += *suffix_;
      piece = decorated;
    }
    if (const auto id = token_to_id(piece)) {
      if (unknown) out.push_back(*unknown);
      unknown.reset();
      out.push_back({*id, length + std::exchange(skipped, 0)});
    } else if (fallback_ && fallback_->append(piece, out)) {
      continue;
    } else if (unknown_) {
      if (unknown && fuse_unknown_) {
        unknown->length += length;
      } else {
        if (unknown) out.push_back(*unknown);
        unknown = TokenPiece{*unknown_, length};
      }
    } else {
      skipped += length;
    }
  }
  if (unknown) out.push_back(*unknown);
  if (skipped && out.size() > first) out.back().length += skipped;
}

}  // namespace graft
