#include "graft/text/unigram.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr std::string_view where = "model";
constexpr size_t token_limit = 1024;  // bytes: a hostile vocabulary makes a word cost the square of its length
constexpr double unknown_penalty = 10;

const TokenizerJson& list_of(const TokenizerJson& model) {
  const TokenizerJson& vocab = need_list(model, "vocab", where);
  require(vocab.size() <= static_cast<size_t>(TokenModel::id_limit), "{}: {} tokens are over the limit of {}", where,
          vocab.size(), TokenModel::id_limit);
  return vocab;
}

size_t bytes_of(const TokenizerJson& vocab) {
  size_t bytes = 0;
  for (size_t id = 0; id < vocab.size(); ++id) {
    const TokenizerJson& item = vocab[id];
    require(item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_number(),
            "{}: vocab[{}] must be [token, score]", where, id);
    const size_t size = item[0].get_ref<const std::string&>().size();
    require(size <= token_limit, "{}: vocab[{}] has {} bytes; graft does tokens of up to {}", where, id, size, token_limit);
    bytes += size;
  }
  return bytes;
}

double power_of_ten(int exponent) {
  const std::string text = fmt::format("1e{}", exponent);
  double power = 0;
  std::from_chars(text.data(), text.data() + text.size(), power);
  return power;
}

/// The number as the reference reads it: the digits as a whole number, times or over a power of ten, each rounded. The last bit
/// may be another one, and it decides between ways whose sums are equal.
double reference_score(double score) {
  if (score == 0) return score;
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, std::abs(score), std::chars_format::scientific).ptr;
  const char* e = std::find(static_cast<const char*>(text), end, 'e');
  int exponent = 0;
  std::from_chars(e[1] == '+' ? e + 2 : e + 1, end, exponent);
  uint64_t digits = 0;
  for (const char* at = text; at != e; ++at)
    if (*at != '.') digits = digits * 10 + static_cast<uint64_t>(*at - '0');
  exponent -= std::max(static_cast<int>(e - text) - 2, 0);  // digits behind the point
  auto value = static_cast<double>(digits);
  for (; exponent < -308; exponent += 308) value /= 1e308;
  value = exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
  return std::copysign(value, score);
}

}  // namespace

Unigram::Unigram(const TokenizerJson& model) : trie_(bytes_of(list_of(model))) {
  for (const char* key : {"alpha", "nbest_size"})
    require(!find_field(model, key), "{}: graft does not sample tokens ('{}')", where, key);
  double least = std::numeric_limits<double>::infinity();
  for (const TokenizerJson& item : list_of(model)) {
    const auto id = static_cast<int32_t>(scores_.size());
    const auto token = item[0].get<std::string>();
    scores_.push_back(reference_score(item[1].get<double>()));
    least = std::min(least, scores_.back());
    add_token(token, id);
    trie_.add(token, id);
  }
  unknown_score_ = least - unknown_penalty;
  if (const TokenizerJson* unknown = find_field(model, "unk_id")) {
    require(!scores_.empty(), "{}: the vocabulary is empty", where);
    unknown_ = static_cast<int32_t>(as_count(*unknown, "unk_id", static_cast<int64_t>(scores_.size()) - 1, where));
  }
  if (bool_field(model, "byte_fallback", false, where)) fallback_.emplace(*this);
}

/// To every place in the word where a character begins or ends.
std::vector<Unigram::Step> Unigram::best_ways(std::string_view word) const {
  std::vector<Step> ways(word.size() + 1);
  const auto offer = [&](size_t end, double score, size_t begin) {
    Step& way = ways[end];
    if (way.begin != Step::none && !(score > way.score)) return false;
    way.score = score;
    way.begin = static_cast<uint32_t>(begin);
    return true;
  };
  for (size_t begin = 0, next = 0; begin < word.size(); begin = next) {
    next_code_point(word, next);
    const double before = ways[begin].score;
    bool is_token = false;  // the character by itself
    uint32_t node = ByteTrie::root;
    for (size_t i = begin; i < word.size() && (node = trie_.step(node, word[i])) != ByteTrie::none; ++i) {
      const int32_t id = trie_.value(node);
      if (id < 0) continue;
      if (offer(i + 1, scores_[static_cast<size_t>(id)] + before, begin)) ways[i + 1].id = id;
      is_token = is_token || i + 1 == next;
    }
    if (is_token || !offer(next, unknown_score_ + before, begin)) continue;
    require(unknown_.has_value(), "{}: '{}' is not in the vocabulary, and there is no unk_id", where,
            word.substr(begin, next - begin));
    ways[next].id = *unknown_;
  }
  return ways;
}

void Unigram::append_unknown(std::string_view run, std::vector<TokenPiece>& out) const {
  const auto whole = token_to_id(run);  // the unknown token's own text
  if (!whole && fallback_ && fallback_->append(run, out)) return;
  out.push_back({whole.value_or(*unknown_), static_cast<uint32_t>(run.size())});
}

void Unigram::encode(std::string_view word, std::vector<TokenPiece>& out) const {
  const std::vector<Step> ways = best_ways(word);
  std::vector<size_t> ends;  // of the tokens, the last one first
  for (size_t end = word.size(); end > 0; end = ways[end].begin) ends.push_back(end);
  size_t begin = 0, known = 0;  // word[begin, known) is a run of unknown characters
  for (size_t k = ends.size(); k-- > 0;) {
    const size_t end = ends[k];
    const bool is_unknown = unknown_ && ways[end].id == *unknown_;
    if (is_unknown) known = end;
    if (begin < known && (!is_unknown || k == 0)) append_unknown(word.substr(begin, known - begin), out);
    if (!is_unknown) out.push_back({ways[end].id, static_cast<uint32_t>(end) - ways[end].begin});
    if (!is_unknown) begin = known = end;
  }
}

}  // namespace graft
