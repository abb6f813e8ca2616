#include "graft/text/gguf_tokenizer.h"

#include <set>

#include "gguf_pretokenizers.h"
#include "gguf_vocabulary.h"
#include "graft/core/error.h"

namespace graft {
namespace {

constexpr const char* instead = "export a Hugging Face folder (--merged), which keeps tokenizer.json as it is";

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
};

bool is_byte_token(std::string_view token) { return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>'); }

/// Rows without a token get one that no text means, as llama.cpp's converter has it.
Vocabulary vocabulary_of(const Tokenizer& tokenizer, const TokenizerJson& json, int64_t rows, bool sentencepiece) {
  require(tokenizer.vocab_size() <= rows, "the tokenizer has {} tokens, the embedding {} rows", tokenizer.vocab_size(), rows);
  const std::string unknown_token = find_string(json["model"], "unk_token", "tokenizer.json: model").value_or("");
  std::set<int32_t> added;
  if (const TokenizerJson* list = find_field(json, "added_tokens"))
    for (const TokenizerJson& token : *list) added.insert(token.at("id").get<int32_t>());
  Vocabulary vocabulary;
  for (int32_t id = 0; id < rows; ++id) {
    std::string token(id < tokenizer.vocab_size() ? tokenizer.id_to_token(id) : "");
    int64_t type = normal;
    if (token.empty())
      token = fmt::format("[PAD{}]", id), type = unused;
    else if (sentencepiece && token == unknown_token)
      type = unknown;
    else if (tokenizer.is_special(id))
      type = control;
    else if (added.contains(id))
      type = user_defined;
    else if (sentencepiece && is_byte_token(token))
      type = byte;
    vocabulary.tokens.push_back(std::move(token)), vocabulary.types.push_back(static_cast<int32_t>(type));
  }
  return vocabulary;
}

std::pair<std::string, std::string> halves(const TokenizerJson& merge) {
  if (merge.is_array()) return {merge.at(0).get<std::string>(), merge.at(1).get<std::string>()};
  const auto text = merge.get<std::string>();
  const size_t space = text.find(' ', 1);
  return {text.substr(0, space), text.substr(space + 1)};
}

std::vector<std::string> merge_lines(const TokenizerJson& merges) {
  std::vector<std::string> lines;
  for (const TokenizerJson& merge : merges) {
    const auto [left, right] = halves(merge);
    require(left.find(' ') == left.npos && right.find(' ') == right.npos,
            "tokenizer.json: a merge of '{}' has a space, which a GGUF cannot hold; {}", left + right, instead);
    lines.push_back(fmt::format("{} {}", left, right));
  }
  return lines;
}

/// How many ways there are to cut tokens into two tokens.
size_t cuts(const std::vector<std::string>& tokens) {
  const std::set<std::string_view> known(tokens.begin(), tokens.end());
  size_t count = 0;
  for (const std::string_view token : known)
    for (size_t at = 1; at < token.size(); ++at) count += known.contains(token.substr(0, at)) && known.contains(token.substr(at));
  return count;
}

/// llama.cpp's SentencePiece merges any two tokens that make a third, the best-scored third first: so do merges that are all the
/// cuts of all tokens, those of a token in a row. A score is then the token's place among them.
std::vector<float> scores_of(const TokenizerJson& merges, const std::vector<std::string>& tokens) {
  std::map<std::string_view, size_t> ids;
  for (size_t id = 0; id < tokens.size(); ++id) ids.emplace(tokens[id], id);
  std::vector<float> scores(tokens.size(), 0);
  std::string last;
  float rank = 0;
  bool in_rows = true;
  for (const TokenizerJson& merge : merges) {
    const auto [left, right] = halves(merge);
    const std::string token = left + right;
    const auto id = ids.find(token);
    require(id != ids.end(), "tokenizer.json: the merge of '{}' and '{}' makes no token", left, right);
    if (token == last) continue;
    in_rows = in_rows && scores[id->second] == 0;
    scores[id->second] = --rank;
    last = token;
  }
  require(in_rows && cuts(tokens) == merges.size(),
          "the tokenizer's merges do not follow from scores of its tokens, which is all that llama.cpp's SentencePiece knows; {}",
          instead);
  return scores;
}

void put_id(std::vector<GgufKey>& keys, const char* name, std::optional<int32_t> id) {
  if (id) keys.push_back(gguf_key(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(*id)));
}

}  // namespace

std::vector<GgufKey> gguf_tokenizer_keys(const Tokenizer& tokenizer, int64_t rows) {
  const TokenizerJson json = TokenizerJson::parse(tokenizer.to_json());
  const TokenizerJson& model = need_field(json, "model", "tokenizer.json");
  const std::string kind = find_string(model, "type", "tokenizer.json: model").value_or("BPE");
  require(kind == "BPE", "a GGUF from graft holds BPE tokenizers; this one is of {}; {}", kind, instead);
  const bool sentencepiece = model.value("byte_fallback", false);
  const GgufPretokenizer* cutting = sentencepiece ? nullptr : find_gguf_pretokenizer(json);
  require(
      sentencepiece || cutting,
      "llama.cpp knows how texts are cut into words by a name, and graft knows none for this tokenizer.json's pre_tokenizer; {}",
      instead);
  const Vocabulary vocabulary = vocabulary_of(tokenizer, json, rows, sentencepiece);
  const TokenizerJson& merges = need_list(model, "merges", "tokenizer.json: model");
  std::vector<GgufKey> keys = {gguf_key("tokenizer.ggml.model", sentencepiece ? "llama" : "gpt2"),
                               gguf_key("tokenizer.ggml.pre", sentencepiece ? "default" : cutting->name),
                               gguf_key("tokenizer.ggml.tokens", vocabulary.tokens),
                               gguf_key("tokenizer.ggml.token_type", vocabulary.types)};
  if (sentencepiece) {
    keys.push_back(gguf_key("tokenizer.ggml.scores", scores_of(merges, vocabulary.tokens)));
    const auto ids = tokenizer.encode("a");
    keys.push_back(
        gguf_flag("tokenizer.ggml.add_space_prefix", !ids.empty() && tokenizer.id_to_token(ids.front()).starts_with("▁")));
    if (const TokenizerJson* unknown_token = find_field(model, "unk_token"))
      put_id(keys, "unknown", tokenizer.token_to_id(unknown_token->get<std::string>()));
  } else {
    keys.push_back(gguf_key("tokenizer.ggml.merges", merge_lines(merges)));
  }
  put_id(keys, "bos", tokenizer.bos()), put_id(keys, "eos", tokenizer.eos()), put_id(keys, "padding", tokenizer.pad());
  keys.push_back(gguf_flag("tokenizer.ggml.add_bos_token", tokenizer.adds_bos()));
  keys.push_back(gguf_flag("tokenizer.ggml.add_eos_token", tokenizer.adds_eos()));
  return keys;
}

void check_same_ids(const Tokenizer& ours, const Tokenizer& read) {
  std::vector<std::string> texts = {"",
                                    " ",
                                    "  a  b\n\n\tc",
                                    "Hello, World! I'm can't WE'RE",
                                    "1 12 123 1234 3.14",
                                    "naïve café Ærø",
                                    "日本語 한국어 Привет",
                                    "🦙🚀👩‍👩‍👧",
                                    "def f(x):\n    return x**2  # ok",
                                    "http://a.b/c?d=e&f",
                                    "...---===!!!",
                                    "a\xC2\xA0z\u2028y"};
  for (int32_t id = 0; id < ours.vocab_size(); ++id)
    if (const std::string token(ours.id_to_token(id)); ours.is_special(id) && !token.empty())
      texts.push_back(token), texts.push_back(fmt::format("a {0} b{0}c", token));
  for (const std::string& text : texts)
    for (const bool special : {true, false}) {
      const auto ids = ours.encode(text, {.add_special_tokens = special});
      require(ids == read.encode(text, {.add_special_tokens = special}) && ours.decode(ids) == read.decode(ids),
              "the tokenizer does more than a GGUF can say: it would encode or decode '{}' differently; {}", text, instead);
    }
}

}  // namespace graft
