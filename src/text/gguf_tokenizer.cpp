#include "gguf_pretokenizers.h"
#include "graft/core/error.h"
#include "graft/io/gguf.h"
#include "tokenizer_impl.h"

// A GGUF's tokenizer is turned into the tokenizer.json it came from, and read as such: one reader, and an export that is equal by
// construction.
namespace graft {
namespace {

enum TokenType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct GgufVocabulary {
  const std::vector<std::string>& tokens;
  const std::vector<int64_t>& types;
  const std::vector<std::string>& merges;
};

const GgufArray& need_array(const GgufFile& file, const char* key) {
  const GgufArray* array = file.array(key);
  require(array != nullptr, "{}: {} is missing", file.path().string(), key);
  return *array;
}

GgufVocabulary read_vocabulary(const GgufFile& file) {
  const std::string where = file.path().string();
  const std::string model = file.string("tokenizer.ggml.model").value_or("");
  require(!model.empty(), "{}: tokenizer.ggml.model is missing: the file holds no tokenizer", where);
  require(model == "gpt2",
          "{}: graft does not read the tokenizer '{}' from a GGUF, only 'gpt2' (byte-level BPE); use tokenizer.json", where,
          model);
  GgufVocabulary vocabulary{need_array(file, "tokenizer.ggml.tokens").strings,
                            need_array(file, "tokenizer.ggml.token_type").integers,
                            need_array(file, "tokenizer.ggml.merges").strings};
  require(!vocabulary.tokens.empty() && vocabulary.types.size() == vocabulary.tokens.size(),
          "{}: {} tokens in tokenizer.ggml.tokens, {} in tokenizer.ggml.token_type", where, vocabulary.tokens.size(),
          vocabulary.types.size());
  for (size_t id = 0; id < vocabulary.types.size(); ++id)
    require(vocabulary.types[id] >= normal && vocabulary.types[id] <= byte, "{}: token {} has the unknown type {}", where, id,
            vocabulary.types[id]);
  return vocabulary;
}

/// Converters fill holes in the vocabulary with these; no text means them.
bool is_placeholder(const std::string& token, size_t id) { return token == fmt::format("[PAD{}]", id); }

TokenizerJson added_tokens_json(const GgufVocabulary& vocabulary) {
  TokenizerJson list = TokenizerJson::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const int64_t type = vocabulary.types[id];
    const bool special = type == control || type == unknown;
    if (!special && (type != user_defined || is_placeholder(vocabulary.tokens[id], id))) continue;
    list.push_back({{"id", id},
                    {"content", vocabulary.tokens[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

TokenizerJson model_json(const GgufVocabulary& vocabulary, bool ignore_merges, const std::string& where) {
  TokenizerJson vocab = TokenizerJson::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    require(vocab.emplace(vocabulary.tokens[id], id).second, "{}: the token '{}' comes twice in tokenizer.ggml.tokens", where,
            vocabulary.tokens[id]);
  TokenizerJson merges = TokenizerJson::array();
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ', 1);
    require(space != std::string::npos, "{}: '{}' in tokenizer.ggml.merges is not two tokens", where, merge);
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  TokenizerJson model{{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", ignore_merges}};
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  return model;
}

/// The token of a tokenizer.ggml.*_token_id key.
std::optional<size_t> token_id(const GgufFile& file, const char* key, size_t size) {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  require(*id >= 0 && static_cast<size_t>(*id) < size, "{}: {} is {}, outside the vocabulary of {}", file.path().string(), key,
          *id, size);
  return static_cast<size_t>(*id);
}

TokenizerJson post_processor_json(const GgufVocabulary& vocabulary, std::optional<size_t> bos, std::optional<size_t> eos) {
  TokenizerJson single = TokenizerJson::array(), pair = TokenizerJson::array(), tokens = TokenizerJson::object();
  const auto put = [&](std::optional<size_t> id, int segment) {
    if (!id) return;
    const std::string& token = vocabulary.tokens[*id];
    if (segment == 0) single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    pair.push_back({{"SpecialToken", {{"id", token}, {"type_id", segment}}}});
    tokens[token] = {{"id", token}, {"ids", TokenizerJson::array({*id})}, {"tokens", TokenizerJson::array({token})}};
  };
  for (const int segment : {0, 1}) {
    put(bos, segment);
    const TokenizerJson part{{"Sequence", {{"id", segment == 0 ? "A" : "B"}, {"type_id", segment}}}};
    if (segment == 0) single.push_back(part);
    pair.push_back(part);
    put(eos, segment);
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

Json config_json(const GgufFile& file, const GgufVocabulary& vocabulary) {
  Json config{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  constexpr std::pair<const char*, const char*> keys[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                          {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                          {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                                          {"pad_token", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [name, key] : keys)
    if (const auto id = token_id(file, key, vocabulary.tokens.size())) config[name] = vocabulary.tokens[*id];
  return config;
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  const std::string where = file.path().string();
  const GgufVocabulary vocabulary = read_vocabulary(file);
  const auto pre = file.string("tokenizer.ggml.pre");
  require(pre.has_value(), "{}: tokenizer.ggml.pre is missing: how text is cut into words is not known; convert the model anew",
          where);
  const GgufPretokenizer& known = gguf_pretokenizer(*pre);
  const size_t size = vocabulary.tokens.size();
  const auto wanted = [&](const char* add_key, bool otherwise, const char* id_key) {
    return file.boolean(add_key).value_or(otherwise) ? token_id(file, id_key, size) : std::nullopt;
  };
  TokenizerJson json{{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"normalizer", nullptr}};
  if (known.nfc) json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = added_tokens_json(vocabulary);
  json["pre_tokenizer"] = known.json();
  json["post_processor"] =
      post_processor_json(vocabulary, wanted("tokenizer.ggml.add_bos_token", known.add_bos, "tokenizer.ggml.bos_token_id"),
                          wanted("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id"));
  json["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  json["model"] = model_json(vocabulary, known.ignore_merges, where);
  std::string text;
  try {
    text = json.dump();
  } catch (const TokenizerJson::exception&) {
    refuse("{}: a token or merge of tokenizer.ggml is not valid UTF-8", where);
  }
  return from_json(text, config_json(file, vocabulary));
}

}  // namespace graft
