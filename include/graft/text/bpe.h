#pragma once
// Byte pair encoding of one word, with tokenizer.json's options: unk_token, fuse_unk, byte_fallback, ignore_merges,
// continuing_subword_prefix, end_of_word_suffix. Dropout is refused. Long words cost n log n.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/byte_fallback.h"
#include "graft/text/token_model.h"

namespace graft {

/// Pairs of tokens to what they merge into: open addressing, for this is the innermost look-up.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  explicit MergeTable(size_t pairs = 0);
  void insert(int32_t left, int32_t right, Merge merge);
  const Merge* find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].merge;
      if (slots_[at].key == empty) return nullptr;
    }
  }

 private:
  static constexpr uint64_t empty = ~uint64_t{0};
  struct Slot {
    uint64_t key = empty;
    Merge merge{};
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15ULL >> 20) & mask_; }
  std::vector<Slot> slots_;
  size_t mask_ = 0;
};

class Bpe : public TokenModel {
 public:
  explicit Bpe(const TokenizerJson& model);
  void encode(std::string_view word, std::vector<TokenPiece>& out) const override;
  void encode_bytes(std::string_view word, std::vector<TokenPiece>& out) const override;
  /// No merge goes across the end, nor do unknown characters fuse. It keeps the long "words" of models that have no pre-tokenizer
  /// short.
  size_t part_end(std::string_view word, size_t begin) const override;

 private:
  void read_merges(const TokenizerJson& model);
  void add_merge(const std::string& left, const std::string& right, uint32_t rank);
  void read_bytes();
  void read_joints(const TokenizerJson& model);
  void first_pieces(std::string_view word, std::vector<TokenPiece>& out) const;

  MergeTable merges_;
  MergeTable joints_;  // the characters (a, b) between which some merge joins; (a, -1) for those that are tokens
  bool can_cut_ = false;
  std::optional<std::string> prefix_, suffix_;
  std::optional<int32_t> unknown_;
  bool fuse_unknown_ = false, ignore_merges_ = false;
  std::optional<ByteFallback> fallback_;
  std::array<int32_t, 256> byte_pieces_{};  // the token of a byte's character in GPT-2's alphabet, or -1
  bool has_byte_pieces_ = false;
};

/// Merges pieces[first, end) by rank, then from left to right.
void merge_pieces(const MergeTable& merges, std::vector<TokenPiece>& pieces, size_t first);

}  // namespace graft
