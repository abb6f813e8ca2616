#include "gguf_vocabulary.h"
#include "graft/core/error.h"
#include "graft/text/normalizer.h"

// BERT's vocabulary. Converters take "##" off tokens that go on with a word and put ▁ before the others.
namespace graft {
namespace {

constexpr std::string_view word_mark = "▁";

bool is_bracketed(const std::string& token) { return token.starts_with('[') && token.ends_with(']'); }

/// As tokenizer.json has it.
std::string spelled(const std::string& token, int64_t type) {
  if (type == control || type == unknown) return token;
  if (token.starts_with(word_mark)) return token.substr(word_mark.size());
  return is_bracketed(token) ? token : "##" + token;  // [unused1]: older converters left it
}

/// What the vocabulary holds but the normalizer never makes shows that the model's own is another one.
void check_normalizer(const GgufVocabulary& vocabulary, const TokenizerJson& json) {
  const Normalizer normalizer(json);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (vocabulary.types[id] != normal || is_bracketed(token)) continue;
    AlignedText text(token, 0);
    normalizer.apply(text);
    std::string made(text.text());
    std::erase(made, ' ');  // Chinese characters are set apart
    require(
        made == token,
        "{}: the token '{}' is none of a tokenizer that lowercases and strips accents, and a GGUF does not say how a tokenizer "
        "'bert' normalizes text; use tokenizer.json",
        vocabulary.where, token);
  }
}

}  // namespace

GgufParts gguf_wordpiece(GgufVocabulary& vocabulary) {
  GgufParts parts;
  parts.normalizer = {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", true},
                      {"strip_accents", nullptr},
                      {"lowercase", true}};
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    vocabulary.tokens[id] = spelled(vocabulary.tokens[id], vocabulary.types[id]);
  check_normalizer(vocabulary, parts.normalizer);
  parts.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  parts.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  const auto unknown_id = vocabulary.token_id("tokenizer.ggml.unknown_token_id");
  require(unknown_id.has_value(), "{}: tokenizer.ggml.unknown_token_id is missing", vocabulary.where);
  parts.model = {{"type", "WordPiece"},
                 {"unk_token", vocabulary.tokens[*unknown_id]},
                 {"continuing_subword_prefix", "##"},
                 {"max_input_chars_per_word", 100}};
  parts.model["vocab"] = vocab_json(vocabulary);
  parts.is_encoder = true;
  return parts;
}

}  // namespace graft
