#include <algorithm>
#include <iterator>

#include "gguf_vocabulary.h"
#include "graft/core/error.h"
#include "graft/core/table.h"
#include "tokenizer_impl.h"

// A GGUF's tokenizer is turned into the tokenizer.json it came from, and read as such: one reader, and an export that is equal by
// construction.
namespace graft {
namespace {

constexpr struct {
  std::string_view name;  // in tokenizer.ggml.model
  GgufParts (*parts)(GgufVocabulary&);
} kinds[] = {{"gpt2", gguf_byte_level}, {"llama", gguf_sentencepiece}, {"gemma4", gguf_gemma}, {"bert", gguf_wordpiece}};

GgufParts read_parts(GgufVocabulary& vocabulary) {
  const std::string name = vocabulary.file.string("tokenizer.ggml.model").value_or("");
  const auto* kind = std::find_if(std::begin(kinds), std::end(kinds), [&](const auto& k) { return k.name == name; });
  if (kind != std::end(kinds)) return kind->parts(vocabulary);
  std::vector<std::string> names;
  for (const auto& known : kinds) names.emplace_back(known.name);
  refuse("{}: graft does not read the tokenizer '{}' from a GGUF, only {}; use tokenizer.json", vocabulary.where, name,
         join(names));
}

TokenizerJson post_processor(const GgufVocabulary& vocabulary, const GgufParts& parts) {
  if (parts.is_encoder)
    return post_processor_json(vocabulary, vocabulary.token_id("tokenizer.ggml.cls_token_id"),
                               vocabulary.token_id("tokenizer.ggml.seperator_token_id"), true);
  const auto wanted = [&](const char* add_key, bool otherwise, const char* id_key) {
    return vocabulary.file.boolean(add_key).value_or(otherwise) ? vocabulary.token_id(id_key) : std::nullopt;
  };
  return post_processor_json(vocabulary, wanted("tokenizer.ggml.add_bos_token", parts.add_bos, "tokenizer.ggml.bos_token_id"),
                             wanted("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id"), false);
}

Json config_json(const GgufVocabulary& vocabulary) {
  Json config{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  constexpr std::pair<const char*, const char*> keys[] = {
      {"bos_token", "tokenizer.ggml.bos_token_id"},       {"eos_token", "tokenizer.ggml.eos_token_id"},
      {"unk_token", "tokenizer.ggml.unknown_token_id"},   {"pad_token", "tokenizer.ggml.padding_token_id"},
      {"sep_token", "tokenizer.ggml.seperator_token_id"}, {"cls_token", "tokenizer.ggml.cls_token_id"},
      {"mask_token", "tokenizer.ggml.mask_token_id"}};
  for (const auto& [name, key] : keys)
    if (const auto id = vocabulary.token_id(key)) config[name] = vocabulary.tokens[*id];
  return config;
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  require(file.string("tokenizer.ggml.model").has_value(), "{}: tokenizer.ggml.model is missing: the file holds no tokenizer",
          file.path().string());
  GgufVocabulary vocabulary(file);
  GgufParts parts = read_parts(vocabulary);
  TokenizerJson json{{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = added_tokens_json(vocabulary, parts.special_strips);
  json["post_processor"] = post_processor(vocabulary, parts);
  json["normalizer"] = std::move(parts.normalizer);
  json["pre_tokenizer"] = std::move(parts.pre_tokenizer);
  json["decoder"] = std::move(parts.decoder);
  json["model"] = std::move(parts.model);
  std::string text;
  try {
    text = json.dump();
  } catch (const TokenizerJson::exception&) {
    refuse("{}: a merge of tokenizer.ggml.merges is not valid UTF-8", vocabulary.where);
  }
  return from_json(text, config_json(vocabulary));
}

}  // namespace graft
