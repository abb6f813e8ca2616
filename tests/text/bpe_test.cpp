#include "graft/text/bpe.h"

#include <gtest/gtest.h>

#include <chrono>

#include "graft/text/unicode.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;

Ids ids_of(const Bpe& bpe, std::string_view word) {
  std::vector<TokenPiece> pieces;
  bpe.encode(word, pieces);
  Ids ids;
  for (const TokenPiece& piece : pieces) ids.push_back(piece.id);
  return ids;
}

TokenizerJson model(const char* merges, const char* more = "") {
  return TokenizerJson::parse(
      std::string(R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "<unk>": 6,
      "<0xC3>": 7, "<0xA9>": 8, " ": 9, "a b": 10}, "merges": )") +
      merges + more + "}");
}

TEST(bpe, lowest_rank_first_then_from_the_left) {
  EXPECT_EQ(ids_of(Bpe(model(R"(["b c", "a b", "a bc"])")), "abcab"), (Ids{5, 3}));
  EXPECT_EQ(ids_of(Bpe(model(R"(["a b", "b c", "ab c"])")), "abcbc"), (Ids{5, 4}));
  EXPECT_EQ(ids_of(Bpe(model(R"(["a b"])")), "aab"), (Ids{0, 3}));
}

TEST(bpe, merges_in_both_spellings) {
  EXPECT_EQ(ids_of(Bpe(model(R"([["a", "b"], ["ab", "c"]])")), "abc"), (Ids{5}));
  EXPECT_EQ(ids_of(Bpe(TokenizerJson::parse(R"({"vocab": {"a": 0, " ": 1, "a ": 2}, "merges": [["a", " "]]})")), "a "), (Ids{2}));
  for (const char* merges : {R"(["ab"])", R"(["a b c"])", R"([["a"]])", R"(["a z"])", R"(["c a"])", "{}", "[1]"})
    EXPECT_THROW(Bpe(model(merges)), RequestError) << merges;
}

TEST(bpe, unknown_characters) {
  EXPECT_EQ(ids_of(Bpe(model("[]")), "axyb"), (Ids{0, 1}));  // no unk_token: the oracle drops them
  EXPECT_EQ(ids_of(Bpe(model("[]", R"(, "unk_token": "<unk>")")), "axyb"), (Ids{0, 6, 6, 1}));
  EXPECT_EQ(ids_of(Bpe(model("[]", R"(, "unk_token": "<unk>", "fuse_unk": true)")), "axyb"), (Ids{0, 6, 1}));
  EXPECT_THROW(Bpe(model("[]", R"(, "unk_token": "<none>")")), RequestError);
}

TEST(bpe, byte_fallback_needs_every_byte_of_the_character) {
  const Bpe bpe(model("[]", R"(, "unk_token": "<unk>", "byte_fallback": true)"));
  EXPECT_EQ(ids_of(bpe, "aéb"), (Ids{0, 7, 8, 1}));
  EXPECT_EQ(ids_of(bpe, "aèb"), (Ids{0, 6, 1}));
}

TEST(bpe, ignore_merges_takes_a_whole_word) {
  EXPECT_EQ(ids_of(Bpe(model("[]", R"(, "ignore_merges": true)")), "abc"), (Ids{5}));
  EXPECT_EQ(ids_of(Bpe(model("[]")), "abc"), (Ids{0, 1, 2}));
}

TEST(bpe, prefix_and_suffix) {
  const auto json = TokenizerJson::parse(R"({"vocab": {"a": 0, "##b": 1, "a</w>": 2, "##b</w>": 3, "ab</w>": 4, "ab": 5},
      "merges": [["a", "##b</w>"]], "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"})");
  EXPECT_EQ(ids_of(Bpe(json), "ab"), (Ids{4}));
  EXPECT_EQ(ids_of(Bpe(json), "abb"), (Ids{0, 1, 3}));
  EXPECT_EQ(ids_of(Bpe(json), "a"), (Ids{2}));
}

TEST(bpe, dropout_and_bad_vocabularies_are_refused) {
  EXPECT_THROW(Bpe(model("[]", R"(, "dropout": 0.1)")), RequestError);
  EXPECT_NO_THROW(Bpe(model("[]", R"(, "dropout": null)")));
  for (const char* vocab :
       {R"({"a": -1})", R"({"a": 1.5})", R"({"a": 4194304})", R"({"a": 1e30})", R"({"a": 0, "b": 0})", "[]", R"({"a": [[]]})"})
    EXPECT_THROW(Bpe(TokenizerJson::parse(std::string(R"({"merges": [], "vocab": )") + vocab + "}")), RequestError) << vocab;
}

TEST(bpe, lengths_are_in_the_bytes_of_the_word) {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    vocab += fmt::format("{}: {}, ", TokenizerJson(spell_bytes({&raw, 1})).dump(), byte);
  }
  const Bpe bpe(TokenizerJson::parse(R"({"vocab": {)" + vocab + R"("Ã©": 256}, "merges": ["Ã ©"]})"));
  std::vector<TokenPiece> pieces;
  bpe.encode_bytes("aé€", pieces);
  ASSERT_EQ(pieces.size(), 5u);
  EXPECT_EQ(pieces[1].id, 256);
  EXPECT_EQ(pieces[1].length, 2u);
  EXPECT_EQ(pieces[2].length, 1u);
  pieces.clear();
  bpe.encode("aÃ©", pieces);  // the same, spelled: lengths in the spelled bytes
  EXPECT_EQ(pieces[1].length, 4u);
}

/// Merges of "a" in powers of two, so that a long word merges all the way up.
Bpe doubling() {
  TokenizerJson json{{"vocab", {{"a", 0}}}, {"merges", TokenizerJson::array()}};
  std::string token = "a";
  for (int i = 1; i < 12; ++i) {
    json["merges"].push_back(TokenizerJson::array({token, token}));
    token += token;
    json["vocab"][token] = i;
  }
  return Bpe(json);
}

TEST(bpe, long_words_merge_as_short_ones) {
  const Bpe bpe = doubling();
  for (size_t n = 1; n < 300; ++n) {  // both ways to merge
    const Ids ids = ids_of(bpe, std::string(n, 'a'));
    size_t total = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      total += size_t{1} << ids[i];
      EXPECT_TRUE(i == 0 || ids[i] < ids[i - 1]) << n;  // the binary digits of n
    }
    EXPECT_EQ(total, n);
  }
}

TEST(bpe, a_megabyte_of_one_character_is_quick) {
  const Bpe bpe = doubling();
  const std::clock_t start = std::clock();
  EXPECT_EQ(ids_of(bpe, std::string(1 << 20, 'a')).size(), size_t{1} << 9);
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace graft
