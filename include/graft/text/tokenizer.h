#pragma once
// Text to token ids and back, as Hugging Face's `tokenizers` does it (the oracle), for every model, normalizer, pre-tokenizer,
// post-processor and decoder of tokenizer.json, and for a GGUF's vocabulary. Goals: ids equal the oracle's on any input; anything
// not implemented is refused by name when the tokenizer is loaded; bounded time and memory on hostile text. Non-goals: training
// tokenizers; sampling (BPE's dropout, Unigram's nbest_size); tokenizer.json's truncation and padding (the data pass cuts and pads).
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"

namespace graft {

class GgufFile;

/// A half-open range of bytes.
struct TextRange {
  size_t begin = 0, end = 0;
};

struct Encoding {
  std::vector<int32_t> ids;
  /// Of each token, in bytes of the input, white space included (but RoBERTa's post-processor leaves it out); empty ranges for
  /// tokens that a post-processor added.
  std::vector<TextRange> offsets;
};

/// A text or two as an encoder takes them: with special tokens, and token type ids (which text it is, as the template says).
struct PairEncoding {
  std::vector<int32_t> ids;
  std::vector<uint8_t> type_ids;
};

struct EncodeOptions {
  bool add_special_tokens = false;  // run the post-processor (BOS, EOS ...)
  bool parse_special = true;        // added tokens with special: true are recognised in the text ...
  /// ... but never where they touch one of these ranges (what a user wrote); sorted, disjoint.
  std::span<const TextRange> literal{};
};

class Tokenizer {
 public:
  /// From tokenizer.json's text. `config` is tokenizer_config.json (bos_token, eos_token, pad_token, add_bos_token ...) or null.
  static Tokenizer from_json(std::string_view tokenizer_json, const Json& config = nullptr);
  /// From a GGUF's tokenizer.ggml.* keys: models `gpt2` (byte-level BPE; the pre-tokenizer's regex by tokenizer.ggml.pre), `llama`
  /// (SentencePiece's BPE), `gemma4` and `bert` (WordPiece, lowercasing).
  static Tokenizer from_gguf(const GgufFile& file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Invalid UTF-8 is a RequestError naming the byte. Safe to call from several threads.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode_with_offsets(std::string_view text, const EncodeOptions& options = {}) const;
  /// A text, or two, with the special tokens around and between them.
  PairEncoding encode_pair(std::string_view a, std::optional<std::string_view> b = std::nullopt) const;
  /// The same of ids that encode gave without special tokens, and that the caller cut to length.
  PairEncoding join_pair(std::span<const int32_t> a, std::optional<std::span<const int32_t>> b = std::nullopt) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  /// The token as the vocabulary spells it; "" for a hole. Throws for an id outside [0, vocab_size).
  std::string_view id_to_token(int32_t id) const;
  int32_t vocab_size() const;  // the largest id + 1, added tokens included
  bool is_special(int32_t id) const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> pad() const;
  /// Whether encode with add_special_tokens puts a BOS in front / an EOS behind.
  bool adds_bos() const;
  bool adds_eos() const;

  /// tokenizer.json's text that encodes as this one does (the file's own text, or built from the GGUF), and a
  /// tokenizer_config.json (without chat template): what an export writes.
  std::string to_json() const;
  Json config() const;
  /// The same with more tokens behind its own, found in any text. RequestError: it has one of them already, or one is empty or given twice.
  Tokenizer with_tokens(const std::vector<std::string>& tokens) const;
  /// Of everything that decides an encoding.
  uint64_t hash() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Decodes a growing sequence: each call returns the text that became final (never half a UTF-8 character).
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  std::string add(int32_t id);
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  std::vector<int32_t> pending_;
  std::string shown_;
};

}  // namespace graft
