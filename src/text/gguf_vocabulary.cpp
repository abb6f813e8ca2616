#include "gguf_vocabulary.h"

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

/// Converters fill holes in the vocabulary with these; no text means them.
bool is_placeholder(const std::string& token, size_t id) { return token == fmt::format("[PAD{}]", id); }

}  // namespace

GgufVocabulary::GgufVocabulary(const GgufFile& gguf)
    : file(gguf),
      where(gguf.path().string()),
      tokens(need_array("tokenizer.ggml.tokens").strings),
      types(need_array("tokenizer.ggml.token_type").integers) {
  require(!tokens.empty() && types.size() == tokens.size(),
          "{}: {} tokens in tokenizer.ggml.tokens, {} in tokenizer.ggml.token_type", where, tokens.size(), types.size());
  for (size_t id = 0; id < types.size(); ++id) {
    require(types[id] >= normal && types[id] <= byte, "{}: token {} has the unknown type {}", where, id, types[id]);
    require(find_invalid_utf8(tokens[id]) == std::string::npos, "{}: token {} is not valid UTF-8", where, id);
  }
}

const GgufArray& GgufVocabulary::need_array(const char* key) const {
  const GgufArray* array = file.array(key);
  require(array != nullptr, "{}: {} is missing", where, key);
  return *array;
}

std::optional<size_t> GgufVocabulary::token_id(const char* key) const {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  require(*id >= 0 && static_cast<size_t>(*id) < tokens.size(), "{}: {} is {}, outside the vocabulary of {}", where, key, *id,
          tokens.size());
  return static_cast<size_t>(*id);
}

TokenizerJson vocab_json(const GgufVocabulary& vocabulary) {
  TokenizerJson vocab = TokenizerJson::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    require(vocab.emplace(vocabulary.tokens[id], id).second, "{}: the token '{}' comes twice in tokenizer.ggml.tokens",
            vocabulary.where, vocabulary.tokens[id]);
  return vocab;
}

TokenizerJson merges_json(const GgufVocabulary& vocabulary) {
  TokenizerJson merges = TokenizerJson::array();
  for (const std::string& merge : vocabulary.need_array("tokenizer.ggml.merges").strings) {
    const size_t space = merge.find(' ', 1);
    require(space != std::string::npos, "{}: '{}' in tokenizer.ggml.merges is not two tokens", vocabulary.where, merge);
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return merges;
}

TokenizerJson added_tokens_json(const GgufVocabulary& vocabulary, bool special_strips) {
  TokenizerJson list = TokenizerJson::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    const int64_t type = vocabulary.types[id];
    const bool special = type == control || type == unknown;
    if ((!special && type != user_defined) || is_placeholder(token, id)) continue;
    const bool strips = special_strips && token != "<unk>" && token != "<s>" && token != "<|endoftext|>";
    list.push_back({{"id", id},
                    {"content", token},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", strips},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

/// An encoder's second text has no token in front of it.
TokenizerJson post_processor_json(const GgufVocabulary& vocabulary, std::optional<size_t> before, std::optional<size_t> behind,
                                  bool is_encoder) {
  TokenizerJson single = TokenizerJson::array(), pair = TokenizerJson::array(), tokens = TokenizerJson::object();
  const auto put = [&](std::optional<size_t> id, int segment) {
    if (!id) return;
    const std::string& token = vocabulary.tokens[*id];
    if (segment == 0) single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    pair.push_back({{"SpecialToken", {{"id", token}, {"type_id", segment}}}});
    tokens[token] = {{"id", token}, {"ids", TokenizerJson::array({*id})}, {"tokens", TokenizerJson::array({token})}};
  };
  for (const int segment : {0, 1}) {
    if (segment == 0 || !is_encoder) put(before, segment);
    const TokenizerJson part{{"Sequence", {{"id", segment == 0 ? "A" : "B"}, {"type_id", segment}}}};
    if (segment == 0) single.push_back(part);
    pair.push_back(part);
    put(behind, segment);
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

}  // namespace graft
