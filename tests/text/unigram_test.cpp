#include "graft/text/unigram.h"

#include <gtest/gtest.h>

#include <ctime>

#include "graft/core/error.h"
#include "graft/text/tokenizer.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;
using Pieces = std::vector<std::pair<std::string, double>>;

TokenizerJson model(const Pieces& pieces, const TokenizerJson& unknown = 0, bool byte_fallback = false) {
  TokenizerJson json{
      {"type", "Unigram"}, {"unk_id", unknown}, {"byte_fallback", byte_fallback}, {"vocab", TokenizerJson::array()}};
  for (const auto& [piece, score] : pieces) json["vocab"].push_back(TokenizerJson::array({piece, score}));
  return json;
}

Tokenizer tokenizer(const TokenizerJson& model) { return Tokenizer::from_json(TokenizerJson{{"model", model}}.dump()); }

Pieces with_bytes(Pieces pieces) {
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(fmt::format("<0x{:02X}>", byte), -5);
  return pieces;
}

const Pieces letters{{"<unk>", 0}, {"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}, {"cd", 1}, {"ab", 2}, {"abc", 5}, {"abcd", 10}};

// Expected values: pip tokenizers 0.23.3.
TEST(unigram, the_largest_sum_of_scores) {
  const Tokenizer t = tokenizer(model(letters));
  EXPECT_EQ(t.encode("abcdacdxx"), (Ids{8, 1, 5, 0}));  // unknown characters are one token
  EXPECT_EQ(t.encode("abcabcd"), (Ids{7, 8}));
  EXPECT_EQ(t.encode(""), Ids{});
  EXPECT_EQ(t.encode("x<unk>y"), Ids{0});  // the unknown token's own text joins
}

TEST(unigram, of_equal_sums_the_first_found) {
  const Tokenizer t = tokenizer(model({{"<unk>", -1}, {"a", -1}, {"aa", -2}, {"aaa", -3}}));
  EXPECT_EQ(t.encode("aaaa"), (Ids{1, 3}));
  EXPECT_EQ(t.encode("aa"), Ids{2});
}

TEST(unigram, scores_are_the_reference_s_to_the_last_bit) {
  const Tokenizer t = tokenizer(model({{"<unk>", 0}, {"#", -8.618783938048946}, {"##", -7.2764300138972935}}));
  EXPECT_EQ(t.encode("#####"), (Ids{2, 2, 1}));  // sums that are equal but for the order of rounding
  const Tokenizer other = tokenizer(model({{"<unk>", 0}, {"#", -7.5755548735509075}, {"##", -7.3826009536078825}}));
  EXPECT_EQ(other.encode("#####"), (Ids{1, 2, 2}));
  EXPECT_EQ(tokenizer(model({{"<unk>", 0}, {"a", -1e-320}, {"b", -1e20}, {"ab", -1e300}})).encode("ab"), (Ids{1, 2}));
}

TEST(unigram, offsets) {
  const Encoding e = tokenizer(model(letters)).encode_with_offsets("xaéyb");
  EXPECT_EQ(e.ids, (Ids{0, 1, 0, 2}));
  const std::pair<size_t, size_t> expected[] = {{0, 1}, {1, 2}, {2, 5}, {5, 6}};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(std::pair(e.offsets[i].begin, e.offsets[i].end), expected[i]) << i;
}

TEST(unigram, unknown_characters_as_bytes) {
  const Tokenizer t = tokenizer(model(with_bytes({{"<unk>", 0}, {"a", -1}}), 0, true));
  EXPECT_EQ(t.encode("aéxa"), (Ids{1, 197, 171, 122, 1}));
  EXPECT_EQ(t.encode("<unk>é"), (Ids{62, 119, 112, 109, 64, 197, 171}));
  EXPECT_EQ(t.encode("<unk>"), Ids{0});
  const Tokenizer few = tokenizer(model({{"<unk>", 0}, {"a", -1}, {"<0xC3>", -1}, {"<0xA9>", -1}}, 0, true));
  EXPECT_EQ(few.encode("aé"), (Ids{1, 2, 3}));
  EXPECT_EQ(few.encode("éü"), Ids{0});  // not all of the run's bytes
}

TEST(unigram, of_equal_tokens_the_last_one) {
  const Tokenizer t = tokenizer(model({{"<unk>", 0}, {"a", -1}, {"b", -1}, {"a", -9}, {"ab", -4}}));
  EXPECT_EQ(t.encode("ab"), Ids{4});
  EXPECT_EQ(t.token_to_id("a"), 3);
  EXPECT_EQ(t.id_to_token(1), "a");
  EXPECT_EQ(t.vocab_size(), 5);
}

TEST(unigram, without_an_unknown_token) {
  const Tokenizer t = tokenizer(model({{"a", -1}}, nullptr));
  EXPECT_EQ(t.encode("aa"), (Ids{0, 0}));
  EXPECT_THROW(t.encode("ab"), RequestError);
}

TEST(unigram, a_long_word_is_quick) {
  Pieces pieces{{"<unk>", 0}};
  for (size_t length = 1; length <= 64; ++length)
    pieces.emplace_back(std::string(length, 'a'), -1.0 * static_cast<double>(length));
  const Tokenizer t = tokenizer(model(pieces));
  for (const size_t length : {size_t{1} << 17, size_t{1} << 20}) {
    const std::clock_t start = std::clock();
    EXPECT_FALSE(t.encode(std::string(length, 'a')).empty());
    EXPECT_LT(std::clock() - start,
              20 * CLOCKS_PER_SEC);  // quadratic time would take minutes; the bar of 1 s is the oracle script's
  }
}

TEST(unigram, refuses_models_it_cannot_read) {
  const auto with = [](const char* key, const TokenizerJson& value) {
    TokenizerJson json = model(letters);
    json[key] = value;
    return json;
  };
  const std::pair<TokenizerJson, const char*> bad[] = {
      {with("unk_id", 9), "from 0 to 8"},
      {with("unk_id", -1), "from 0 to 8"},
      {with("vocab", TokenizerJson::object()), "must be a list"},
      {with("vocab", TokenizerJson::array()), "vocabulary is empty"},
      {with("vocab", TokenizerJson::parse(R"([["a"]])")), "vocab[0] must be"},
      {with("vocab", TokenizerJson::parse(R"([["a", "b"]])")), "vocab[0] must be"},
      {model({{std::string(1025, 'a'), 0}}), "vocab[0] has 1025 bytes"},
      {with("alpha", 0.1), "does not sample"},
      {with("byte_fallback", 1), "must be true or false"}};
  for (const auto& [json, reason] : bad) {
    try {
      tokenizer(json);
      ADD_FAILURE() << reason;
    } catch (const RequestError& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
}

TEST(word_level, a_word_is_a_token_or_unknown) {
  const TokenizerJson json =
      TokenizerJson::parse(R"({"type": "WordLevel", "unk_token": "<u>", "vocab": {"a": 0, "<u>": 1, "b c": 2}})");
  const Tokenizer t = tokenizer(json);
  EXPECT_EQ(t.encode("b c"), Ids{2});
  EXPECT_EQ(t.encode("x"), Ids{1});
  TokenizerJson without = json;
  without["unk_token"] = "none";
  EXPECT_THROW(tokenizer(without).encode("x"), RequestError);
  EXPECT_EQ(tokenizer(without).encode("a"), Ids{0});
  without.erase("unk_token");
  EXPECT_THROW(tokenizer(without), RequestError);
}

TEST(token_model, files_of_old_name_no_type) {
  TokenizerJson unigram = model(letters), words = TokenizerJson::parse(R"({"unk_token": "<u>", "vocab": {"a": 0, "<u>": 1}})");
  unigram.erase("type");
  EXPECT_EQ(tokenizer(unigram).encode("abcd"), Ids{8});
  EXPECT_EQ(tokenizer(words).encode("b"), Ids{1});
}

}  // namespace
}  // namespace graft
