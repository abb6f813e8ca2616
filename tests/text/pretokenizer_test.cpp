#include "graft/text/pretokenizer.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

using Strings = std::vector<std::string>;

Strings words_of(const std::string& json, std::string_view text, std::vector<TextRange>* sources = nullptr) {
  Words words{AlignedText(text, 0), {{0, text.size()}}};
  PreTokenizer(TokenizerJson::parse(json)).apply(words);
  Strings found;
  for (const TextRange& range : words.ranges) {
    found.emplace_back(words.text.text().substr(range.begin, range.end - range.begin));
    if (sources) sources->push_back(words.text.source(range.begin, range.end));
  }
  return found;
}

std::string split(const char* behavior, bool invert) {
  return std::string(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")") + behavior + R"(", "invert": )" +
         (invert ? "true}" : "false}");
}

// Expected words: pip tokenizers 0.23.3.
TEST(pretokenizer, split_in_five_ways) {
  const std::tuple<const char*, bool, Strings> cases[] = {{"Removed", false, {"the", "final", "countdown"}},
                                                          {"Removed", true, {"-", "-", "-", "-"}},
                                                          {"Isolated", false, {"the", "-", "final", "-", "-", "countdown", "-"}},
                                                          {"Isolated", true, {"the", "-", "final", "-", "-", "countdown", "-"}},
                                                          {"Contiguous", false, {"the", "-", "final", "--", "countdown", "-"}},
                                                          {"MergedWithPrevious", false, {"the-", "final-", "-", "countdown-"}},
                                                          {"MergedWithPrevious", true, {"the", "-final", "-", "-countdown", "-"}},
                                                          {"MergedWithNext", false, {"the", "-final", "-", "-countdown", "-"}},
                                                          {"MergedWithNext", true, {"the-", "final-", "-", "countdown-"}}};
  for (const auto& [behavior, invert, expected] : cases)
    EXPECT_EQ(words_of(split(behavior, invert), "the-final--countdown-"), expected) << behavior << invert;
}

TEST(pretokenizer, kinds_of_characters) {
  EXPECT_EQ(words_of(R"({"type": "Digits", "individual_digits": false})", "a12b3²"), (Strings{"a", "12", "b", "3²"}));
  EXPECT_EQ(words_of(R"({"type": "Digits", "individual_digits": true})", "a12b3²"), (Strings{"a", "1", "2", "b", "3", "²"}));
  EXPECT_EQ(words_of(R"({"type": "Punctuation"})", "a,b!!c$"), (Strings{"a", ",", "b", "!", "!", "c", "$"}));
  EXPECT_EQ(words_of(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a,b!!c$"),
            (Strings{"a", ",", "b", "!!", "c", "$"}));
  EXPECT_EQ(words_of(R"({"type": "Whitespace"})", "it's a_b, ok"), (Strings{"it", "'", "s", "a_b", ",", "ok"}));
  EXPECT_EQ(words_of(R"({"type": "WhitespaceSplit"})", "it's  a\u00a0b"), (Strings{"it's", "a", "b"}));
  EXPECT_EQ(words_of(R"({"type": "BertPreTokenizer"})", "it's  a\u00a0b_c!?\n"),
            (Strings{"it", "'", "s", "a", "b", "_", "c", "!", "?"}));
  EXPECT_EQ(words_of(R"({"type": "CharDelimiterSplit", "delimiter": "_"})", "a_b__c"), (Strings{"a", "b", "c"}));
}

std::string metaspace(const char* scheme, bool split) {
  return std::string(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": ")") + scheme + R"(", "split": )" +
         (split ? "true}" : "false}");
}

TEST(pretokenizer, metaspace) {
  EXPECT_EQ(words_of(metaspace("always", true), "Hey  my friend"), (Strings{"▁Hey", "▁", "▁my", "▁friend"}));
  EXPECT_EQ(words_of(metaspace("first", false), "Hey  my friend"), (Strings{"▁Hey▁▁my▁friend"}));
  EXPECT_EQ(words_of(metaspace("never", true), "Hey  my friend"), (Strings{"Hey", "▁", "▁my", "▁friend"}));
  EXPECT_EQ(words_of(metaspace("always", true), " Hey"), (Strings{"▁Hey"}));
  EXPECT_EQ(words_of(R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false})", "a b"), (Strings{"a", "▁b"}));
  Words later{AlignedText("a b", 7), {{0, 3}}};  // not at the input's beginning
  PreTokenizer(TokenizerJson::parse(metaspace("first", false))).apply(later);
  EXPECT_EQ(later.text.text(), "a▁b");
}

TEST(pretokenizer, byte_level) {
  const PreTokenizer alone(TokenizerJson::parse(R"({"type": "ByteLevel", "add_prefix_space": true})"));
  EXPECT_TRUE(alone.leaves_bytes());
  EXPECT_EQ(words_of(R"({"type": "ByteLevel", "add_prefix_space": true})", "Hello  my é\n\n x"),
            (Strings{" Hello", " ", " my", " é", "\n\n", " x"}));
  // Falcon's: what follows ByteLevel sees its alphabet, in which a byte of ² is a number.
  const char* falcon = R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"},
      {"type": "ByteLevel", "add_prefix_space": false}, {"type": "Digits", "individual_digits": false},
      {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}]})";
  EXPECT_FALSE(PreTokenizer(TokenizerJson::parse(falcon)).leaves_bytes());
  std::vector<TextRange> sources;
  EXPECT_EQ(words_of(falcon, "a²,1234567 b", &sources), (Strings{"a", "Â", "²", ",", "123", "456", "7", "Ġb"}));
  ASSERT_EQ(sources.size(), 8u);
  EXPECT_EQ(sources[2].begin, 2u);
  EXPECT_EQ(sources[7].begin, 11u);
  EXPECT_EQ(sources[7].end, 13u);
}

TEST(pretokenizer, unicode_scripts) {
  const std::string json = R"({"type": "UnicodeScripts"})";
  EXPECT_EQ(words_of(json, "  どこで生れ。Yes 12 ー ab"), (Strings{"どこで生れ", "。", "Yes ", "12 ", "ー ", "ab"}));
  EXPECT_EQ(words_of(json, "Apples are りんご 林檎"), (Strings{"Apples are ", "りんご 林檎"}));
  EXPECT_EQ(words_of(json, "\u0378a\u0378Я \U0001f92fx"), (Strings{"a\u0378", "Я \U0001f92f", "x"}));  // 1F92F: of Unicode 10
  EXPECT_EQ(words_of(json, " "), Strings{});
}

TEST(pretokenizer, fixed_length) {
  EXPECT_EQ(words_of(R"({"type": "FixedLength", "length": 3})", "Hé 👋 wo"), (Strings{"Hé ", "👋 w", "o"}));
  EXPECT_EQ(words_of(R"({"type": "FixedLength"})", "abcdef"), (Strings{"abcde", "f"}));
  EXPECT_EQ(
      words_of(R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "FixedLength", "length": 2}]})",
               "abc de"),
      (Strings{"ab", "c", "de"}));
  EXPECT_THROW(words_of(R"({"type": "FixedLength", "length": 0})", "a"), RequestError);
}

TEST(pretokenizer, refuses_others_by_name) {
  for (const char* name : {"RandomChunkSplit", "whitespace"})
    EXPECT_THROW(words_of(std::string(R"({"type": ")") + name + "\"}", "a"), RequestError);
  EXPECT_THROW(words_of(R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})", "a"), RequestError);
  EXPECT_THROW(words_of(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Sideways"})", "a"), RequestError);
}

}  // namespace
}  // namespace graft
