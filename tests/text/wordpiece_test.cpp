#include "graft/text/wordpiece.h"

#include <gtest/gtest.h>

#include "graft/text/tokenizer.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;
using Strings = std::vector<std::string>;

// Expected values: pip tokenizers 0.23.3.
Tokenizer with(const char* key, const TokenizerJson& value, const Json& config = nullptr) {
  TokenizerJson json = wordpiece_sample();
  json[TokenizerJson::json_pointer(key)] = value;
  return Tokenizer::from_json(json.dump(), config);
}

Tokenizer sample() { return Tokenizer::from_json(wordpiece_sample().dump()); }

TEST(wordpiece, the_longest_token_first) {
  const Tokenizer t = sample();
  EXPECT_EQ(t.encode("unaffable"), (Ids{5, 6, 7}));
  EXPECT_EQ(t.encode("unaffables"), (Ids{5, 6, 7, 12}));
  EXPECT_EQ(t.encode("Hello, WORLD!"), (Ids{8, 10, 9, 11}));
  EXPECT_EQ(t.encode("don't"), (Ids{21, 19, 20}));
  EXPECT_EQ(t.encode("[CLS]hello[MASK]"), (Ids{2, 8, 4}));
  EXPECT_EQ(t.encode("  "), Ids{});
}

TEST(wordpiece, one_unknown_token_for_a_word) {
  const Tokenizer t = sample();
  EXPECT_EQ(t.encode("unaffablex hello"), (Ids{1, 8}));
  EXPECT_EQ(t.encode("unhello"), Ids{1});
  EXPECT_EQ(t.encode("##able"), (Ids{1, 1, 1}));
}

TEST(wordpiece, words_that_are_too_long_are_unknown) {
  const Tokenizer t = sample();
  EXPECT_EQ(t.encode(std::string(100, 'a')).size(), 100u);
  EXPECT_EQ(t.encode(std::string(101, 'a')), Ids{1});
  EXPECT_EQ(t.encode(std::string(1 << 20, 'a')), Ids{1});
  EXPECT_EQ(with("/model/max_input_chars_per_word", 4).encode("café a"), (Ids{15, 17}));  // characters, not bytes
  EXPECT_EQ(with("/model/max_input_chars_per_word", 3).encode("café a"), (Ids{1, 17}));
}

TEST(wordpiece, other_prefixes) {
  TokenizerJson json = wordpiece_sample();
  json["model"]["continuing_subword_prefix"] = "";
  EXPECT_EQ(Tokenizer::from_json(json.dump()).encode("unhello"), (Ids{5, 8}));
  json["model"]["continuing_subword_prefix"] = "@@";  // of no token
  EXPECT_EQ(Tokenizer::from_json(json.dump()).encode("unaffable un"), (Ids{1, 5}));
  json["model"].erase("type");  // as in files of old
  EXPECT_EQ(Tokenizer::from_json(json.dump()).encode("un"), Ids{5});
}

TEST(wordpiece, spelled_in_bytes) {
  const Tokenizer t = with("/pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}});
  const Encoding e = t.encode_with_offsets("unaff hello");
  EXPECT_EQ(e.ids, (Ids{5, 6, 1}));  // Ġhello
  EXPECT_EQ(e.offsets[2].begin, 5u);
  EXPECT_EQ(e.offsets[2].end, 11u);
}

TEST(wordpiece, offsets_through_the_normalizer) {
  const Encoding e = sample().encode_with_offsets("CAFÉ 中文a\u0301! un\u200baff");
  EXPECT_EQ(e.ids, (Ids{15, 13, 14, 17, 11, 5, 6}));
  const std::pair<size_t, size_t> expected[] = {{0, 5}, {6, 9}, {9, 12}, {12, 13}, {15, 16}, {17, 19}, {22, 25}};
  for (size_t i = 0; i < e.ids.size(); ++i) EXPECT_EQ(std::pair(e.offsets[i].begin, e.offsets[i].end), expected[i]) << i;
}

TEST(wordpiece, decoding_joins_the_pieces) {
  const Tokenizer t = sample();
  EXPECT_EQ(t.decode(Ids{2, 8, 10, 5, 6, 7, 11, 3}, true), "hello, unaffable!");
  EXPECT_EQ(t.decode(Ids{21, 19, 20}), "don ' t");
  Strings tokens{"##a", "##b", "c", ",", "d", ".", "n't", "##", "'s"};
  Strings untidy = tokens;
  join_wordpieces(tokens, "##", true);
  join_wordpieces(untidy, "##", false);
  EXPECT_EQ(tokens, (Strings{"##a", "b", " c", ",", " d", ".", "n't", "", "'s"}));
  EXPECT_EQ(untidy, (Strings{"##a", "b", " c", " ,", " d", " .", " n't", "", " 's"}));
  Strings fixed{"I", "do not", "x ' y", "!", " ?", "'m"};
  join_wordpieces(fixed, "##", true);
  EXPECT_EQ(fixed, (Strings{"I", " don't", " x'y", "!", " ?", "'m"}));
}

TEST(wordpiece, refuses_models_it_cannot_read) {
  const std::tuple<const char*, TokenizerJson, const char*> bad[] = {
      {"/model/unk_token", "<none>", "unk_token '<none>'"},
      {"/model/unk_token", nullptr, "'unk_token' is missing"},
      {"/model/max_input_chars_per_word", 1001, "from 0 to 1000"},
      {"/model/max_input_chars_per_word", -1, "from 0 to 1000"},
      {"/model/continuing_subword_prefix", 1, "must be a string"},
      {"/model/vocab", TokenizerJson::array(), "'vocab' must be an object"},
      {"/decoder/prefix", nullptr, "'prefix' is missing"},
      {"/normalizer/strip_accents", 1, "'strip_accents' must be true or false"}};
  for (const auto& [key, value, reason] : bad) {
    try {
      with(key, value);
      ADD_FAILURE() << reason;
    } catch (const RequestError& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace graft
