#include <algorithm>
#include <queue>

#include "graft/text/bpe.h"

namespace graft {
namespace {

constexpr size_t short_word = 48;
constexpr uint32_t no_rank = UINT32_MAX;
constexpr uint32_t none = UINT32_MAX;

/// Looks for the lowest rank anew after each merge: fastest for the few pieces that a word has.
void merge_short(const MergeTable& merges, std::vector<TokenPiece>& pieces, size_t first) {
  size_t n = pieces.size() - first;
  TokenPiece* p = pieces.data() + first;
  MergeTable::Merge next[short_word];  // of p[i] with p[i + 1]
  const auto look_up = [&](size_t i) {
    const auto* found = i + 1 < n ? merges.find(p[i].id, p[i + 1].id) : nullptr;
    next[i] = found ? *found : MergeTable::Merge{no_rank, 0};
  };
  for (size_t i = 0; i < n; ++i) look_up(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (next[i].rank < next[best].rank) best = i;
    if (next[best].rank == no_rank) break;
    p[best] = {next[best].id, p[best].length + p[best + 1].length};
    std::move(p + best + 2, p + n, p + best + 1);
    std::move(next + best + 2, next + n, next + best + 1);
    --n;
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  pieces.resize(first + n);
}

/// A queue of possible merges over a linked list of pieces: n log n.
class LongWord {
 public:
  LongWord(const MergeTable& merges, TokenPiece* pieces, size_t n) : merges_(merges), pieces_(pieces), links_(n) {
    for (uint32_t i = 0; i < n; ++i) links_[i] = {i ? i - 1 : none, i + 1 < n ? i + 1 : none};
    for (uint32_t i = 0; i < n; ++i) offer(i);
  }

  /// How many pieces remain; they are moved to the front.
  size_t run() {
    while (!queue_.empty()) {
      const Candidate c = queue_.top();
      queue_.pop();
      if (dead(c.left)) continue;
      const uint32_t right = links_[c.left].next;
      if (right == none) continue;
      const auto* now = merges_.find(pieces_[c.left].id, pieces_[right].id);
      if (now && now->id == c.id && now->rank == c.rank) join(c.left, right, now->id);
    }
    size_t n = 0;
    for (uint32_t i = 0; i != none; i = links_[i].next) pieces_[n++] = pieces_[i];
    return n;
  }

 private:
  struct Link {
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, left;
    int32_t id;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };

  bool dead(uint32_t i) const { return links_[i].previous == i; }
  void offer(uint32_t left) {
    if (links_[left].next == none) return;
    if (const auto* found = merges_.find(pieces_[left].id, pieces_[links_[left].next].id))
      queue_.push({found->rank, left, found->id});
  }
  void join(uint32_t left, uint32_t right, int32_t id) {
    pieces_[left] = {id, pieces_[left].length + pieces_[right].length};
    links_[left].next = links_[right].next;
    if (links_[right].next != none) links_[links_[right].next].previous = left;
    links_[right] = {right, none};  // dead
    offer(left);
    if (links_[left].previous != none) offer(links_[left].previous);
  }

  const MergeTable& merges_;
  TokenPiece* pieces_;
  std::vector<Link> links_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

MergeTable::MergeTable(size_t pairs) {
  size_t size = 16;
  while (size < 2 * pairs) size *= 2;
  slots_.resize(size);
  mask_ = size - 1;
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != empty && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

void merge_pieces(const MergeTable& merges, std::vector<TokenPiece>& pieces, size_t first) {
  const size_t n = pieces.size() - first;
  if (n < 2) return;
  if (n <= short_word) return merge_short(merges, pieces, first);
  pieces.resize(first + LongWord(merges, pieces.data() + first, n).run());
}

}  // namespace graft
