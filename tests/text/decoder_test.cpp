#include "graft/text/decoder.h"

#include <gtest/gtest.h>

#include "graft/text/post_processor.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

std::string decoded(const char* json, std::vector<std::string> tokens) {
  return Decoder(TokenizerJson::parse(json)).decode(std::move(tokens));
}

TEST(decoder, does_as_tokenizers_does) {
  EXPECT_EQ(Decoder().decode({"a", "b"}), "a b");
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"Hello", "Ġmy", "Ã", "©"}), "Hello myé");
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"Ã", "<é 字>"}), "\ufffd<é 字>");  // not the alphabet's: as it is
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"<0xE5>", "<0x8f>", "<0xab>", "a"}), "叫a");
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"<0xE5>", "<0x8f>", "a", "<0xZZ>"}), "\ufffd\ufffda<0xZZ>");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})", {"▁▁Hey", "▁you"}), "Hey you");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})", {"▁▁Hey", "▁you"}), "  Hey you");
  EXPECT_EQ(decoded(R"({"type": "BPEDecoder", "suffix": "</w>"})", {"a</w>", "b</w>"}), "a b");
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})", {"  a", " b"}), " ab");
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": "é", "start": 9, "stop": 9})", {"ééaé", "éé"}), "a");
  EXPECT_EQ(decoded(R"({"type": "Replace", "pattern": {"Regex": "l+"}, "content": "1"})", {"hello", "ll"}), "he1o1");
  EXPECT_EQ(decoded(R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
                    {"▁", "▁Hey", "<0x21>", "▁"}),
            " Hey! ");
}

TEST(decoder, ctc) {
  EXPECT_EQ(decoded(R"({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true})",
                    {"<pad>", "h", "h", "<pad>", "e", "l", "<pad>", "l", "l", "o", "|", "|", "<pad>", "|", " ?"}),
            "hello  ?");
  EXPECT_EQ(decoded(R"({"type": "CTC", "pad_token": "<p>", "word_delimiter_token": "|", "cleanup": false})",
                    {"a", "a", "<p>", "a", "|", " ?"}),
            "aa| ?");
  EXPECT_THROW(decoded(R"({"type": "CTC", "pad_token": "", "word_delimiter_token": "|"})", {}), RequestError);
}

TEST(decoder, refuses_others_by_name) {
  EXPECT_THROW(decoded(R"({"type": "ctc"})", {}), RequestError);
  EXPECT_THROW(decoded(R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})", {}), RequestError);
}

TEST(unicode, ill_formed_bytes) {
  EXPECT_EQ(find_invalid_utf8("aé€😀"), std::string::npos);
  for (const char* bad : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82"})
    EXPECT_EQ(find_invalid_utf8(std::string("ab") + bad), 2u);
  EXPECT_EQ(lossy_utf8("\xE2\x82"
                       "a\xF0\x9F\x98\xFF\xED\xA0\x80"),
            "\ufffda\ufffd\ufffd\ufffd\ufffd\ufffd");
}

TEST(unicode, every_byte_has_its_own_character) {
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(byte_of_char(char_of_byte(static_cast<unsigned char>(byte))), byte);
  EXPECT_EQ(spell_bytes(" \n\xAD!"), "ĠĊŃ!");
  EXPECT_EQ(byte_of_char(0x4E2D), -1);
}

PostProcessor processor(const std::string& json) { return read_post_processor(TokenizerJson::parse(json), 10); }

std::string with_template(const char* single) {
  return std::string(R"({"type": "TemplateProcessing", "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
      "</s>": {"id": "</s>", "ids": [2, 3], "tokens": ["</s>", "x"]}}, "single": )") +
         single + "}";
}

TEST(post_processor, what_stands_before_and_behind) {
  const PostProcessor both = processor(with_template(
      R"([{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>"}}])"));
  EXPECT_EQ(both.prefix(), (std::vector<int32_t>{1}));
  EXPECT_EQ(both.suffix(), (std::vector<int32_t>{2, 3}));
  const PostProcessor roberta = processor(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "RobertaProcessing", "cls": ["c", 4], "sep": ["s", 5]}]})");
  EXPECT_EQ(roberta.prefix(), (std::vector<int32_t>{4}));
  EXPECT_EQ(roberta.suffix(), (std::vector<int32_t>{5}));
}

TEST(post_processor, pairs) {
  const PostProcessor bert = processor(R"({"type": "BertProcessing", "cls": ["c", 4], "sep": ["s", 5]})");
  ASSERT_EQ(bert.pair.size(), 5u);
  EXPECT_EQ(bert.pair[3].sequence, 1);
  EXPECT_EQ(bert.pair[4].type_id, 1);
  EXPECT_FALSE(bert.trim.has_value());
  EXPECT_EQ(processor(R"({"type": "ByteLevel"})").pair[1].type_id, 1);
}

TEST(post_processor, refuses_what_it_cannot_do) {
  for (const char* single :
       {"[]", R"([{"Sequence": {"id": "B"}}])", R"([{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}])"})
    EXPECT_THROW(processor(with_template(single)), RequestError) << single;
  for (const char* json : {R"({"type": "BertProcessing", "cls": ["c", 40], "sep": ["s", 5]})", R"({"type": "Other"})", "[]"})
    EXPECT_THROW(processor(json), RequestError) << json;
}

}  // namespace
}  // namespace graft
