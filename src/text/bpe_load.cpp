#include "graft/text/bpe.h"

#include <algorithm>
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

Bpe::Bpe(const TokenizerJson& model) : TokenModel(model) {
  const TokenizerJson* dropout = find_field(model, "dropout");
  require(!dropout || (dropout->is_number() && dropout->get<double>() == 0), "{}: graft does not do BPE dropout", where);
  prefix_ = find_string(model, "continuing_subword_prefix", where);
  suffix_ = find_string(model, "end_of_word_suffix", where);
  fuse_unknown_ = bool_field(model, "fuse_unk", false, where);
  if (bool_field(model, "byte_fallback", false, where)) fallback_.emplace(*this);
  ignore_merges_ = bool_field(model, "ignore_merges", false, where);
  if (const auto unknown = find_string(model, "unk_token", where)) {
    unknown_ = token_to_id(*unknown);
    require(unknown_.has_value(), "{}: unk_token '{}' is not in the vocabulary", where, *unknown);
  }
  read_merges(model);
  read_bytes();
  can_cut_ = !prefix_ && !suffix_ && !ignore_merges_;
  if (can_cut_) read_joints(model);
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
    require(token_to_id(token).has_value(), "{}: merges[{}]: '{}' is not in the vocabulary", where, rank, token);
  merges_.insert(*token_to_id(left), *token_to_id(right), {rank, *token_to_id(both)});
}

void Bpe::read_bytes() {
  has_byte_pieces_ = !prefix_ && !suffix_;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    byte_pieces_[static_cast<size_t>(byte)] = token_to_id(spell_bytes({&raw, 1})).value_or(-1);
  }
}

void Bpe::read_joints(const TokenizerJson& model) {
  std::vector<std::pair<int32_t, int32_t>> joints;
  const TokenizerJson& merges = model["merges"];
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merge_pair(merges[i], i);
    if (left.empty() || right.empty()) continue;
    size_t last = left.size(), first = 0;
    const char32_t before = previous_code_point(left, last);
    joints.emplace_back(static_cast<int32_t>(before), static_cast<int32_t>(next_code_point(right, first)));
  }
  for (int32_t id = 0; id < id_end(); ++id) {
    const std::string_view token = id_to_token(id);
    size_t end = 0;
    const char32_t c = token.empty() ? 0 : next_code_point(token, end);
    if (!token.empty() && end == token.size()) joints.emplace_back(static_cast<int32_t>(c), -1);
  }
  std::sort(joints.begin(), joints.end());
  joints.erase(std::unique(joints.begin(), joints.end()), joints.end());
  joints_ = MergeTable(joints.size());
  for (const auto& [left, right] : joints) joints_.insert(left, right, {});
}

}  // namespace graft
