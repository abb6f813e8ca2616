#include <algorithm>

#include "gguf_vocabulary.h"
#include "graft/core/error.h"

// SentencePiece's BPE, as transformers converts it: a space is ▁, no word ends anywhere, merges come from the tokens' scores.
namespace graft {
namespace {

constexpr size_t token_limit = 1024;  // bytes: every cut of a token is looked up

struct Merge {
  double score;
  std::string left, right;
};

void add_cuts(const TokenizerJson& vocab, const std::string& token, double score, std::vector<Merge>& merges) {
  const size_t first = merges.size();
  for (size_t at = 1; at < token.size(); ++at) {
    std::string left = token.substr(0, at), right = token.substr(at);
    if (vocab.contains(left) && vocab.contains(right)) merges.push_back({score, std::move(left), std::move(right)});
  }
  std::sort(merges.begin() + static_cast<ptrdiff_t>(first), merges.end(), [&](const Merge& a, const Merge& b) {
    return a.left != b.left ? vocab[a.left] < vocab[b.left] : vocab[a.right] < vocab[b.right];
  });
}

/// Every way to cut a token into two tokens, the best-scored token first.
TokenizerJson merges_of_scores(const GgufVocabulary& vocabulary, const TokenizerJson& vocab) {
  const std::vector<double>& scores = vocabulary.need_array("tokenizer.ggml.scores").reals;
  require(scores.size() == vocabulary.tokens.size(), "{}: {} scores in tokenizer.ggml.scores for {} tokens", vocabulary.where,
          scores.size(), vocabulary.tokens.size());
  std::vector<Merge> merges;
  for (size_t id = 0; id < scores.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    require(token.size() <= token_limit && scores[id] == scores[id], "{}: token {} has {} bytes and the score {}",
            vocabulary.where, id, token.size(), scores[id]);
    add_cuts(vocab, token, scores[id], merges);
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) { return a.score > b.score; });
  TokenizerJson list = TokenizerJson::array();
  for (Merge& merge : merges) list.push_back({std::move(merge.left), std::move(merge.right)});
  return list;
}

TokenizerJson replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

/// All but the model's vocabulary and merges.
GgufParts spaced_parts(const GgufVocabulary& vocabulary) {
  for (const char* key : {"tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.remove_extra_whitespaces"})
    require(!vocabulary.file.keys().contains(key) || (!vocabulary.file.array(key) && vocabulary.file.boolean(key) == false),
            "{}: graft does not do {} in a tokenizer 'llama'; use tokenizer.json", vocabulary.where, key);
  const bool prefix = vocabulary.file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  GgufParts parts;
  TokenizerJson normalizers = TokenizerJson::array(), decoders = TokenizerJson::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", "▁"}});
  normalizers.push_back(replace(" ", "▁"));
  decoders.push_back(replace("▁", " "));
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  parts.normalizer = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  parts.decoder = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
  const auto unknown_id = vocabulary.token_id("tokenizer.ggml.unknown_token_id");
  parts.model = {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", true},
                 {"byte_fallback", true},
                 {"ignore_merges", false}};
  if (unknown_id) parts.model["unk_token"] = vocabulary.tokens[*unknown_id];
  parts.model["vocab"] = vocab_json(vocabulary);
  parts.add_bos = true;
  return parts;
}

}  // namespace

GgufParts gguf_sentencepiece(GgufVocabulary& vocabulary) {
  GgufParts parts = spaced_parts(vocabulary);
  parts.model["merges"] = merges_of_scores(vocabulary, parts.model["vocab"]);
  parts.special_strips = vocabulary.file.string("general.architecture") == "phi3";  // what the format has no key for
  return parts;
}

GgufParts gguf_gemma(GgufVocabulary& vocabulary) {
  GgufParts parts = spaced_parts(vocabulary);
  parts.model["merges"] = merges_json(vocabulary);
  return parts;
}

}  // namespace graft
