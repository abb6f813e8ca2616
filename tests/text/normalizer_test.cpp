#include "graft/text/normalizer.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

AlignedText normalized(const std::string& json, std::string_view text) {
  AlignedText result(text, 0);
  Normalizer(TokenizerJson::parse(json)).apply(result);
  return result;
}

std::string type(const char* name) { return std::string(R"({"type": ")") + name + "\"}"; }

TEST(normalizer, does_as_tokenizers_does) {
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {type("NFC"), "e\u0301 \u1100\u1161\u11a8", "é 각"},
      {type("NFC"), "a\u0315\u0300\u05ae\u0062", "\u00e0\u05ae\u0315b"},
      {type("NFD"), "é각", "e\u0301\u1100\u1161\u11a8"},
      {type("NFKC"), "ﬁ①", "fi1"},
      {type("NFKD"), "ﬁé", "fie\u0301"},
      {type("Lowercase"), "ÀİΣ", "ài\u0307σ"},
      {type("Strip"), "  a b\u3000", "a b"},
      {type("Strip"), " \t ", ""},
      {R"({"type": "Strip", "strip_left": false, "strip_right": true})", " a ", " a"},
      {type("StripAccents"), "e\u0301a", "ea"},
      {type("ByteLevel"), "é a", "Ã©Ġa"},
      {R"({"type": "Prepend", "prepend": "▁"})", "", ""},
      {R"({"type": "Prepend", "prepend": "▁"})", "a", "▁a"},
      {R"({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "})", "a \t b", "a b"},
      {R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})", " a b", "▁a▁b"},
      {R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]})", "ÉÀ", "ea"}};
  for (const auto& [json, text, expected] : cases) EXPECT_EQ(normalized(json, text).text(), expected) << json << " " << text;
}

TEST(normalizer, characters_newer_than_the_oracle_stand_for_themselves) {
  EXPECT_EQ(normalized(type("NFKC"), "\u32ff").text(), "\u32ff");               // Reiwa, Unicode 12.1
  EXPECT_EQ(normalized(type("NFD"), "a\u0300\u08d3").text(), "a\u0300\u08d3");  // a mark of class 220, Unicode 11
  EXPECT_EQ(normalized(type("StripAccents"), "a\u08d3").text(), "a\u08d3");
}

TEST(normalizer, keeps_where_each_byte_came_from) {
  const std::string text = "xe\u0301ﬁ y";  // x | e + acute | ligature | space | y
  const AlignedText result = normalized(type("NFKC"), text);
  ASSERT_EQ(result.text(), "xéfi y");
  const auto source = [&](size_t begin, size_t end) {
    const TextRange range = result.source(begin, end);
    return std::pair(range.begin, range.end);
  };
  EXPECT_EQ(source(0, 1), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(source(1, 3), std::pair(size_t{1}, size_t{4}));  // é from e and its accent
  EXPECT_EQ(source(3, 4), std::pair(size_t{4}, size_t{7}));  // f from the whole ligature
  EXPECT_EQ(source(5, 7), std::pair(size_t{7}, size_t{9}));
}

std::string bert(const char* clean_text, const char* chinese, const char* strip_accents, const char* lowercase) {
  return fmt::format(R"({{"type": "BertNormalizer", "clean_text": {}, "handle_chinese_chars": {}, "strip_accents": {},
      "lowercase": {}}})",
                     clean_text, chinese, strip_accents, lowercase);
}

TEST(normalizer, lower_case_is_newer) {
  EXPECT_EQ(normalized(type("Lowercase"), "\u1c89\ua7cb\ua7dc\U00010d65\U00016ea1\u10d0").text(),
            "\u1c8a\u0264\u019b\U00010d85\U00016ebc\u10d0");
}

TEST(normalizer, bert_does_as_tokenizers_does) {
  using namespace std::string_literals;
  const std::string usual = bert("true", "true", "null", "true");
  // Control, format and private characters go, but not unassigned ones (U+0378), nor those after Unicode 8 (U+0890).
  EXPECT_EQ(normalized(usual, " a\0b\ufffdc\u200bd\u0378e\ue000f\u0890g\t\u0085\u2028\u3000H"s).text(),
            " abcd\u0378ef\u0890g   h");
  EXPECT_EQ(normalized(usual, "x中\U0002b81d\U0002b820\U0002b920豈y").text(), "x 中  \U0002b81d \U0002b820 \U0002b920  豈 y");
  EXPECT_EQ(normalized(bert("false", "false", "null", "true"), "\0ÀİΣ ß中"s).text(), "\0aiσ ß中"s);
  EXPECT_EQ(normalized(bert("false", "false", "null", "false"), "ÀÉ\u0301").text(), "ÀÉ\u0301");
  EXPECT_EQ(normalized(bert("false", "false", "false", "true"), "ÀÉ\u0301").text(), "àé\u0301");
  EXPECT_EQ(normalized(bert("false", "false", "true", "false"), "Àe\u0301\u0323Ǖ각a\u1734\u0903\u20dd\u08d3").text(),
            "AeU\u1100\u1161\u11a8a\u0903\u20dd\u08d3");  // nonspacing marks only, of Unicode 8
}

TEST(normalizer, nmt_does_as_tokenizers_does) {
  EXPECT_EQ(normalized(type("Nmt"),
                       "a\x01"
                       "b\tc\u200bd\ufeffe\x0b"
                       "f\u2581g\u008fh\u0085i\ufffdj\u00a0k")
                .text(),
            "ab c d ef gh\u0085i j\u00a0k");
}

TEST(normalizer, decomposing_keeps_each_character_s_place) {
  const AlignedText result = normalized(type("NFD"), "xé\u0323a");  // the marks trade places
  ASSERT_EQ(result.text(), "xe\u0323\u0301a");
  const auto source = [&](size_t begin, size_t end) {
    const TextRange range = result.source(begin, end);
    return std::pair(range.begin, range.end);
  };
  EXPECT_EQ(source(1, 2), std::pair(size_t{1}, size_t{3}));
  EXPECT_EQ(source(2, 4), std::pair(size_t{3}, size_t{5}));
  EXPECT_EQ(source(6, 7), std::pair(size_t{5}, size_t{6}));
}

TEST(normalizer, prepended_text_comes_from_nowhere) {
  AlignedText text("ab", 5);
  Normalizer(TokenizerJson::parse(R"({"type": "Prepend", "prepend": "▁"})")).apply(text);
  EXPECT_EQ(text.source(0, 3).begin, 5u);
  EXPECT_EQ(text.source(0, 3).end, 5u);
  EXPECT_EQ(text.source(0, 4).end, 6u);
  EXPECT_EQ(text.slice(3, 5).origin(), 5u);
}

TEST(normalizer, piled_up_marks_cost_linear_time) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i) text += i % 2 ? "\u0300" : "\u0316";
  EXPECT_EQ(normalized(type("NFC"), text).text().size(), text.size() - 2 + 1);  // à: three bytes became two, sorted behind
}

TEST(normalizer, refuses_others_by_name) {
  for (const char* name : {"Unknown", "nfc"}) {
    try {
      normalized(type(name), "a");
      ADD_FAILURE();
    } catch (const RequestError& e) {
      EXPECT_EQ(std::string(e.what()), std::string("normalizer: graft does not do the normalizer '") + name + "'");
    }
  }
  std::string deep = type("NFC");
  for (int i = 0; i < 20; ++i) deep = R"({"type": "Sequence", "normalizers": [)" + deep + "]}";
  EXPECT_THROW(normalized(deep, "a"), RequestError);
}

}  // namespace
}  // namespace graft
