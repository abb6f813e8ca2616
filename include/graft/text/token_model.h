#pragma once
// What turns a word into tokens: BPE, Unigram, WordPiece or WordLevel over one vocabulary.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graft/text/json_fields.h"

namespace graft {

/// A token of a word and how many of the word's bytes it stands for.
struct TokenPiece {
  int32_t id;
  uint32_t length;
};

class TokenModel {
 public:
  static constexpr int64_t id_limit = (int64_t{1} << 22) - 1;

  virtual ~TokenModel() = default;
  TokenModel(const TokenModel&) = delete;
  TokenModel& operator=(const TokenModel&) = delete;

  /// Appends the tokens of a word (valid UTF-8, or part of it).
  virtual void encode(std::string_view word, std::vector<TokenPiece>& out) const = 0;
  /// The same for a word whose bytes are yet to be spelled in GPT-2's alphabet; lengths are in the bytes as given.
  virtual void encode_bytes(std::string_view word, std::vector<TokenPiece>& out) const;
  /// Where the part of a word that begins at `begin` ends, so that the parts' tokens are the word's.
  virtual size_t part_end(std::string_view word, size_t begin) const { return word.size(); }

  std::optional<int32_t> token_to_id(std::string_view token) const;
  /// "" where no token has this id.
  std::string_view id_to_token(int32_t id) const;
  int32_t size() const { return size_; }  // how many tokens there are
  int32_t id_end() const { return static_cast<int32_t>(tokens_.size()); }

 protected:
  TokenModel() = default;
  /// Reads the model's `vocab`, an object.
  explicit TokenModel(const TokenizerJson& model);
  /// Of equal tokens, the last one's id counts.
  void add_token(const std::string& token, int32_t id);
  size_t bytes_of_tokens() const;

 private:
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> vocab_;
  std::vector<std::string_view> tokens_;  // by id; views of vocab_'s keys
  int32_t size_ = 0;
};

/// The `model` of tokenizer.json.
std::unique_ptr<TokenModel> read_token_model(const TokenizerJson& model);

}  // namespace graft
