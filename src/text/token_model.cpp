#include "graft/text/token_model.h"

#include "graft/text/bpe.h"
#include "graft/text/unicode.h"
#include "graft/text/unigram.h"
#include "graft/text/word_level.h"
#include "graft/text/wordpiece.h"

namespace graft {
namespace {

/// Files of old have no type: BPE is the one with merges, WordPiece the one that limits a word's length, Unigram's vocabulary is
/// a list.
std::string model_type(const TokenizerJson& model) {
  if (const auto type = find_string(model, "type", "model")) return *type;
  if (find_field(model, "merges")) return "BPE";
  if (find_field(model, "max_input_chars_per_word")) return "WordPiece";
  const TokenizerJson* vocab = find_field(model, "vocab");
  return vocab && vocab->is_array() ? "Unigram" : "WordLevel";
}

}  // namespace

TokenModel::TokenModel(const TokenizerJson& model) {
  const TokenizerJson& vocab = need_field(model, "vocab", "model");
  require(vocab.is_object(), "model: 'vocab' must be an object, not {}", vocab.type_name());
  vocab_.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items())
    add_token(token, static_cast<int32_t>(as_count(id, token, id_limit, "model.vocab")));
}

void TokenModel::add_token(const std::string& token, int32_t id) {
  const auto at = static_cast<size_t>(id);
  const auto entry = vocab_.insert_or_assign(token, id).first;
  if (at >= tokens_.size()) tokens_.resize(at + 1);
  require(tokens_[at].data() == nullptr, "model.vocab: '{}' and '{}' both have id {}", tokens_[at], token, id);
  tokens_[at] = entry->first;
  ++size_;
}

size_t TokenModel::bytes_of_tokens() const {
  size_t bytes = 0;
  for (const std::string_view token : tokens_) bytes += token.size();
  return bytes;
}

void TokenModel::encode_bytes(std::string_view word, std::vector<TokenPiece>& out) const {
  const size_t first = out.size();
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

std::optional<int32_t> TokenModel::token_to_id(std::string_view token) const {
  const auto found = vocab_.find(token);
  return found == vocab_.end() ? std::nullopt : std::optional(found->second);
}

std::string_view TokenModel::id_to_token(int32_t id) const {
  return id >= 0 && id < id_end() ? tokens_[static_cast<size_t>(id)] : std::string_view();
}

std::unique_ptr<TokenModel> read_token_model(const TokenizerJson& model) {
  require(model.is_object(), "model: must be an object, not {}", model.type_name());
  const std::string type = model_type(model);
  if (type == "BPE") return std::make_unique<Bpe>(model);
  if (type == "WordPiece") return std::make_unique<WordPiece>(model);
  if (type == "Unigram") return std::make_unique<Unigram>(model);
  if (type == "WordLevel") return std::make_unique<WordLevel>(model);
  refuse("model: graft does not do the model '{}', only BPE, Unigram, WordPiece and WordLevel", type);
}

}  // namespace graft
