#include "graft/text/token_model.h"

#include "graft/text/bpe.h"
#include "graft/text/unicode.h"
#include "graft/text/wordpiece.h"

namespace graft {
namespace {

/// Files of old have no type: BPE is the one with merges, WordPiece the one that limits a word's length.
std::string model_type(const TokenizerJson& model) {
  if (const auto type = find_string(model, "type", "model")) return *type;
  if (find_field(model, "merges")) return "BPE";
  return find_field(model, "max_input_chars_per_word") ? "WordPiece" : "without a type";
}

}  // namespace

TokenModel::TokenModel(const TokenizerJson& model) {
  const TokenizerJson& vocab = need_field(model, "vocab", "model");
  require(vocab.is_object(), "model: 'vocab' must be an object, not {}", vocab.type_name());
  vocab_.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items()) {
    const auto value = static_cast<size_t>(as_count(id, token, id_limit, "model.vocab"));
    const auto entry = vocab_.emplace(token, static_cast<int32_t>(value)).first;
    if (value >= tokens_.size()) tokens_.resize(value + 1);
    require(tokens_[value].data() == nullptr, "model.vocab: '{}' and '{}' both have id {}", tokens_[value], token, value);
    tokens_[value] = entry->first;
  }
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
  refuse("model: graft does not do the model '{}', only BPE and WordPiece", type);
}

}  // namespace graft
