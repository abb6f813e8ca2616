#include "graft/text/bpe.h"

#include <utility>

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr std::string_view where = "model";
constexpr size_t merge_limit = size_t{1} << 23;

/// "a b" or ["a", "b"].
std::pair<std::string, std::string> merge_pair(const TokenizerJson& merge, size_t index) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  require(merge.is_string(), "{}: merges[{}] must be \"a b\" or [\"a\", \"b\"]", where, index);
  const std::string text = merge.get<std::string>();
  const size_t space = text.find(' ');
  require(space != std::string::npos && text.find(' ', space + 1) == std::string::npos,
          "{}: merges[{}], '{}', must be two tokens with one space between them", where, index, text);
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

Bpe::Bpe(const TokenizerJson& model) {
  const TokenizerJson* dropout = find_field(model, "dropout");
  require(!dropout || (dropout->is_number() && dropout->get<double>() == 0), "{}: graft does not do BPE dropout", where);
  prefix_ = find_string(model, "continuing_subword_prefix", where);
  suffix_ = find_string(model, "end_of_word_suffix", where);
  fuse_unknown_ = bool_field(model, "fuse_unk", false, where);
  byte_fallback_ = bool_field(model, "byte_fallback", false, where);
  ignore_merges_ = bool_field(model, "ignore_merges", false, where);
  read_vocab(model);
  if (const auto unknown = find_string(model, "unk_token", where)) {
    unknown_ = token_to_id(*unknown);
    require(unknown_.has_value(), "{}: unk_token '{}' is not in the vocabulary", where, *unknown);
  }
  read_merges(model);
  read_bytes();
}

void Bpe::read_vocab(const TokenizerJson& model) {
  const TokenizerJson& vocab = need_field(model, "vocab", where);
  require(vocab.is_object(), "{}: 'vocab' must be an object, not {}", where, vocab.type_name());
  vocab_.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items()) {
    const auto value = static_cast<size_t>(as_count(id, token, id_limit, "model.vocab"));
    const auto entry = vocab_.emplace(token, static_cast<int32_t>(value)).first;
    if (value >= tokens_.size()) tokens_.resize(value + 1);
    require(tokens_[value].data() == nullptr, "model.vocab: '{}' and '{}' both have id {}", tokens_[value], token, value);
    tokens_[value] = entry->first;
  }
}

void Bpe::read_merges(const TokenizerJson& model) {
  const TokenizerJson& merges = need_list(model, "merges", where);
  require(merges.size() <= merge_limit, "{}: {} merges are over the limit of {}", where, merges.size(), merge_limit);
  merges_ = MergeTable(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merge_pair(merges[i], i);
    add_merge(left, right, static_cast<uint32_t>(i));
  }
}

void Bpe::add_merge(const std::string& left, const std::string& right, uint32_t rank) {
  const size_t skip = prefix_ ? prefix_->size() : 0;
  require(right.size() >= skip, "{}: merges[{}]: '{}' is shorter than continuing_subword_prefix", where, rank, right);
  const std::string both = left + right.substr(skip);
  for (const std::string& token : {left, right, both})
    require(vocab_.contains(token), "{}: merges[{}]: '{}' is not in the vocabulary", where, rank, token);
  merges_.insert(vocab_.find(left)->second, vocab_.find(right)->second, {rank, vocab_.find(both)->second});
}

void Bpe::read_bytes() {
  has_byte_pieces_ = !prefix_ && !suffix_;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    byte_pieces_[static_cast<size_t>(byte)] = token_to_id(spell_bytes({&raw, 1})).value_or(-1);
    fallback_bytes_[static_cast<size_t>(byte)] = token_to_id(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

std::optional<int32_t> Bpe::token_to_id(std::string_view token) const {
  const auto found = vocab_.find(token);
  return found == vocab_.end() ? std::nullopt : std::optional(found->second);
}

std::string_view Bpe::id_to_token(int32_t id) const {
  return id >= 0 && id < id_end() ? tokens_[static_cast<size_t>(id)] : std::string_view();
}

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
  const std::string spelled = spell_bytes(word);
  encode(spelled, out);
  size_t at = 0;
  for (size_t i = first; i < out.size(); ++i) {  // lengths: every character was one byte
    const size_t end = at + out[i].length;
    uint32_t bytes = 0;
    for (; at < end && at < spelled.size(); ++bytes) next_code_point(spelled, at);
    out[i].length = bytes;
  }
}

bool Bpe::fall_back_to_bytes(std::string_view piece, std::vector<TokenPiece>& out) const {
  for (const char byte : piece)
    if (fallback_bytes_[static_cast<unsigned char>(byte)] < 0) return false;
  for (const char byte : piece) out.push_back({fallback_bytes_[static_cast<unsigned char>(byte)], 1});
  return true;
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
    } else if (byte_fallback_ && fall_back_to_bytes(piece, out)) {
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
