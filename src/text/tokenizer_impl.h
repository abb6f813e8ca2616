#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "graft/text/added_tokens.h"
#include "graft/text/decoder.h"
#include "graft/text/normalizer.h"
#include "graft/text/post_processor.h"
#include "graft/text/pretokenizer.h"
#include "graft/text/token_model.h"
#include "graft/text/tokenizer.h"
#include "graft/text/word_cache.h"

namespace graft {

/// What one encode call needs for itself. Calls take one from the pool and give it back, so that there are as many as calls at a
/// time.
class WordCachePool {
 public:
  class Lease {
   public:
    explicit Lease(WordCachePool& pool) : pool_(pool), cache_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(cache_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    WordCache& operator*() { return *cache_; }

   private:
    WordCachePool& pool_;
    std::unique_ptr<WordCache> cache_;
  };

 private:
  std::unique_ptr<WordCache> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<WordCache>();
    auto cache = std::move(idle_.back());
    idle_.pop_back();
    return cache;
  }
  void give_back(std::unique_ptr<WordCache> cache) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(cache));
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

struct Tokenizer::Impl {
  Impl(std::string_view tokenizer_json, const Json& tokenizer_config);
  Impl(std::string text, Json config, const TokenizerJson& json);

  Encoding encode(std::string_view text, const EncodeOptions& options, bool with_offsets) const;
  void encode_segment(const AlignedText& segment, const EncodeOptions& options, WordCache& cache, bool with_offsets,
                      Encoding& out) const;
  void encode_words(AlignedText text, WordCache& cache, bool with_offsets, Encoding& out) const;
  void encode_part(const AlignedText& text, TextRange range, WordCache& cache, bool with_offsets, Encoding& out) const;
  void trim_offsets(std::string_view text, size_t first, Encoding& out) const;
  std::vector<AddedToken> read_added_tokens(const TokenizerJson& json) const;
  void add_named_tokens(std::vector<AddedToken>& tokens) const;
  std::optional<int32_t> named_token(const char* key) const;
  void index_tokens();
  void apply_config();

  std::string json_text;
  Json config;
  std::unique_ptr<TokenModel> model;
  Normalizer normalizer;
  PreTokenizer pretokenizer;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  std::unordered_map<std::string, int32_t> added_ids;
  // By id; views without data for holes.
  std::vector<std::string_view> tokens;
  std::vector<std::string_view> spellings;  // what the decoder gets: of added tokens, the normalized form
  std::vector<bool> special;
  std::vector<bool> skipped;  // in decoding: special tokens, but (as with the oracle) not where the normalizer changes them
  std::optional<int32_t> bos, eos, pad;
  mutable WordCachePool caches;
};

}  // namespace graft
