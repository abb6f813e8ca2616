#include "graft/text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "graft/core/error.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer byte_level() { return Tokenizer::from_json(byte_level_sample().dump()); }

std::vector<std::pair<size_t, size_t>> pairs(const std::vector<TextRange>& ranges) {
  std::vector<std::pair<size_t, size_t>> out;
  for (const TextRange& range : ranges) out.emplace_back(range.begin, range.end);
  return out;
}

TEST(tokenizer, encodes_and_decodes_bytes) {
  const Tokenizer t = byte_level();
  EXPECT_EQ(t.encode("hello hello"), (Ids{259, 260}));
  EXPECT_EQ(t.encode("<|s|>hello<|e|>"), (Ids{261, 259, 262}));
  EXPECT_EQ(t.encode(""), Ids{});
  for (const char* text : {"", "hello", " é€😀\n\n\t x ", "a\u0301", "<|s|> <plain>"}) EXPECT_EQ(t.decode(t.encode(text)), text);
  EXPECT_EQ(t.decode(Ids{261, 259, 262}, true), "hello");
  EXPECT_EQ(t.vocab_size(), 264);
  EXPECT_EQ(t.token_to_id("<|e|>"), 262);
  EXPECT_EQ(t.token_to_id("Ġhello"), 260);
  EXPECT_EQ(t.token_to_id("nothing"), std::nullopt);
  EXPECT_EQ(t.id_to_token(260), "Ġhello");
  EXPECT_TRUE(t.is_special(261));
  EXPECT_FALSE(t.is_special(263));
  EXPECT_FALSE(t.is_special(-1));
  EXPECT_THROW(t.id_to_token(264), Error);
  EXPECT_THROW(t.decode(Ids{-1}), Error);
}

TEST(tokenizer, invalid_utf8_is_refused_with_its_byte) {
  try {
    byte_level().encode("ab\xC3");
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("byte 2"), std::string::npos) << e.what();
  }
}

TEST(tokenizer, special_tokens_can_be_read_as_text) {
  const Tokenizer t = byte_level();
  const Ids as_text = t.encode("<|s|>", {.parse_special = false});
  EXPECT_EQ(as_text, (Ids{'<', '|', 's', '|', '>'}));
  EXPECT_EQ(t.encode("<plain><|s|>", {.parse_special = false}).front(), 263);  // not special: found all the same
}

TEST(tokenizer, no_special_token_where_it_touches_a_literal_range) {
  const Tokenizer t = byte_level();
  const std::string text = "<|s|>a<|e|>b<|e|>";
  const TextRange user[] = {{5, 12}};
  EXPECT_EQ(t.encode(text, {.literal = user}), (Ids{261, 'a', '<', '|', 'e', '|', '>', 'b', 262}));
  const TextRange one_byte[] = {{10, 11}};  // the last of the first <|e|>
  EXPECT_EQ(t.encode(text, {.literal = one_byte}), (Ids{261, 'a', '<', '|', 'e', '|', '>', 'b', 262}));
  const TextRange beside[] = {{5, 6}, {11, 12}};  // next to tokens, not on them
  EXPECT_EQ(t.encode(text, {.literal = beside}), (Ids{261, 'a', 262, 'b', 262}));
  const TextRange plain[] = {{0, 7}};
  EXPECT_EQ(t.encode("<plain>", {.literal = plain}), (Ids{263}));
}

TEST(tokenizer, text_is_tokenized_jointly_across_a_literal_ranges_borders) {
  const Tokenizer t = byte_level();
  const TextRange range[] = {{3, 5}};
  EXPECT_EQ(t.encode("hello", {.literal = range}), (Ids{259}));
  const TextRange wrong[] = {{3, 5}, {4, 6}};
  EXPECT_THROW(t.encode("hello!", {.literal = wrong}), Error);
}

TEST(tokenizer, a_token_begun_by_the_user_does_not_hide_the_templates) {
  TokenizerJson json = byte_level_sample();
  json["added_tokens"].push_back(added_token(264, "x<|e|>", true));
  const Tokenizer t = Tokenizer::from_json(json.dump());
  EXPECT_EQ(t.encode("x<|e|>"), (Ids{264}));  // the longer one, from further left
  const TextRange user[] = {{0, 1}};
  EXPECT_EQ(t.encode("x<|e|>", {.literal = user}), (Ids{'x', 262}));
}

TEST(tokenizer, offsets) {
  const Tokenizer t = byte_level();
  const Encoding e = t.encode_with_offsets("<|s|>hello é");
  EXPECT_EQ(e.ids, (Ids{261, 259, ' ', 0xC3, 0xA9}));
  EXPECT_EQ(pairs(e.offsets), (std::vector<std::pair<size_t, size_t>>{{0, 5}, {5, 10}, {10, 11}, {11, 12}, {12, 13}}));
}

TEST(tokenizer, offsets_through_normalizers_that_change_text) {
  const Tokenizer t = Tokenizer::from_json(llama2_sample().dump());
  const Encoding e = t.encode_with_offsets("hi hi</s> é", {.add_special_tokens = true});
  EXPECT_EQ(e.ids, (Ids{1, 264, 264, 2, 259, 259, 3 + 0xC3, 3 + 0xA9}));
  // One ▁ before é stands for the space, the other was prepended: to nothing of the input.
  EXPECT_EQ(pairs(e.offsets),
            (std::vector<std::pair<size_t, size_t>>{{0, 0}, {0, 2}, {2, 5}, {5, 9}, {9, 9}, {9, 10}, {10, 11}, {11, 12}}));
}

TEST(tokenizer, offsets_through_nfc) {
  TokenizerJson json = byte_level_sample();
  json["normalizer"] = {{"type", "NFC"}};
  const Encoding e = Tokenizer::from_json(json.dump()).encode_with_offsets("e\u0301hello<|e|>");
  EXPECT_EQ(e.ids, (Ids{0xC3, 0xA9, 259, 262}));
  EXPECT_EQ(pairs(e.offsets), (std::vector<std::pair<size_t, size_t>>{{0, 3}, {0, 3}, {3, 8}, {8, 13}}));
}

struct FlagCase {
  const char* flags;
  const char* text;
  Ids expected;
};

TEST(tokenizer, flags_of_added_tokens) {
  const FlagCase cases[] = {{R"({})", "a <x> b", {'a', ' ', 264, ' ', 'b'}},
                            {R"({"lstrip": true})", "a \t<x> b", {'a', 264, ' ', 'b'}},
                            {R"({"rstrip": true})",
                             "a <x> \u3000"
                             "b",
                             {'a', ' ', 264, 'b'}},
                            {R"({"single_word": true})",
                             "a <x> a<x> <x>1 <x>",
                             {'a', ' ', 264, ' ', 'a', '<', 'x', '>', ' ', '<', 'x', '>', '1', ' ', 264}},
                            {R"({"normalized": true})", "<X>", {264}},  // the normalizer lowercases
                            {R"({"normalized": false})", "<X>", {'<', 'x', '>'}}};
  for (const FlagCase& c : cases) {
    TokenizerJson json = byte_level_sample();
    json["normalizer"] = {{"type", "Lowercase"}};
    json["added_tokens"].push_back(added_token(264, "<x>", false, TokenizerJson::parse(c.flags)));
    EXPECT_EQ(Tokenizer::from_json(json.dump()).encode(c.text), c.expected) << c.flags;
  }
}

TEST(tokenizer, the_longest_added_token_wins) {
  TokenizerJson json = byte_level_sample();
  json["added_tokens"].push_back(added_token(264, "<|e|", false));
  json["added_tokens"].push_back(added_token(265, "|e|>!", false));
  EXPECT_EQ(Tokenizer::from_json(json.dump()).encode("<|e|>!<|e|"), (Ids{262, '!', 264}));
}

TEST(tokenizer, config_names_special_tokens_and_what_is_added) {
  const Json config{
      {"bos_token", "<|s|>"}, {"eos_token", {{"content", "<|e|>"}}}, {"pad_token", "<plain>"}, {"chat_template", "x"}};
  const Tokenizer t = Tokenizer::from_json(byte_level_sample().dump(), config);
  EXPECT_EQ(t.bos(), 261);
  EXPECT_EQ(t.eos(), 262);
  EXPECT_EQ(t.pad(), 263);
  EXPECT_TRUE(t.is_special(263));
  EXPECT_FALSE(t.adds_bos());
  EXPECT_FALSE(t.config().contains("chat_template"));
  EXPECT_EQ(t.config()["bos_token"], "<|s|>");
  Json adding = config;
  adding["add_bos_token"] = adding["add_eos_token"] = true;
  const Tokenizer a = Tokenizer::from_json(byte_level_sample().dump(), adding);
  EXPECT_TRUE(a.adds_bos() && a.adds_eos());
  EXPECT_EQ(a.encode("hello", {.add_special_tokens = true}), (Ids{261, 259, 262}));
  EXPECT_NE(a.hash(), t.hash());
  Json unknown{{"eos_token", "<none>"}};
  EXPECT_THROW(Tokenizer::from_json(byte_level_sample().dump(), unknown), RequestError);
}

TEST(tokenizer, config_overrides_the_post_processor) {
  const Json config{{"bos_token", "<s>"}, {"add_bos_token", false}};
  EXPECT_TRUE(Tokenizer::from_json(llama2_sample().dump()).adds_bos());
  EXPECT_FALSE(Tokenizer::from_json(llama2_sample().dump(), config).adds_bos());
}

TEST(tokenizer, its_json_makes_an_equal_one) {
  const Tokenizer t = byte_level();
  const Tokenizer again = Tokenizer::from_json(t.to_json(), t.config());
  EXPECT_EQ(again.hash(), t.hash());
  EXPECT_EQ(again.encode("hello <|e|>"), t.encode("hello <|e|>"));
}

TEST(tokenizer, refuses_files_it_cannot_read) {
  const auto with = [](const char* key, const char* value) {
    TokenizerJson json = byte_level_sample();
    json[TokenizerJson::json_pointer(key)] = TokenizerJson::parse(value);
    return json.dump();
  };
  const std::pair<std::string, const char*> bad[] = {{"", "not valid JSON"},
                                                     {"[]", "must be an object"},
                                                     {"{}", "'model' is missing"},
                                                     {with("/model/type", "\"Unigram\""), "'Unigram'"},
                                                     {with("/model/type", "\"WordPiece\""), "'WordPiece'"},
                                                     {with("/model/type", "\"WordLevel\""), "'WordLevel'"},
                                                     {with("/normalizer", R"({"type": "Precompiled"})"), "'Precompiled'"},
                                                     {with("/added_tokens/0/id", "9"), "has id 9"},
                                                     {with("/added_tokens/1/content", "\"<|s|>\""), "<|s|>"},
                                                     {with("/model/vocab/a", "\"x\""), "model.vocab"},
                                                     {with("/pre_tokenizer", "[]"), "pre_tokenizer"}};
  for (const auto& [text, reason] : bad) {
    try {
      Tokenizer::from_json(text);
      ADD_FAILURE() << reason;
    } catch (const RequestError& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW(Tokenizer::from_json(std::string(1 << 20, '[')), RequestError);
}

TEST(tokenizer, several_threads_encode_the_same) {
  const Tokenizer t = byte_level();
  std::string text;
  for (int i = 0; i < 3000; ++i) text += " hello w" + std::to_string(i % 700);
  const Ids expected = t.encode(text);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) wrong += t.encode(text) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

void expect_stream(const Tokenizer& t, const Ids& ids) {
  StreamDecoder stream(t, false);
  std::string shown;
  for (const int32_t id : ids) {
    const std::string fresh = stream.add(id);
    EXPECT_EQ(find_invalid_utf8(fresh), std::string::npos);
    shown += fresh;
  }
  shown += stream.finish();
  EXPECT_EQ(shown, t.decode(ids));
}

TEST(stream_decoder, shows_whole_characters_and_in_the_end_all) {
  const Tokenizer bytes = byte_level();
  for (const char* text : {"hello é€😀 hello", "", "\ufffd\ufffd a", "<|s|>hello<|e|>"}) expect_stream(bytes, bytes.encode(text));
  expect_stream(bytes, {0xE2, 0x82, 'a', 0xFF, 0xFF, 259, 0xF0, 0x9F});  // broken ones
  const Tokenizer llama = Tokenizer::from_json(llama2_sample().dump());
  for (const char* text : {"hi hi", "  hi é€ hi", "é😀", " "}) expect_stream(llama, llama.encode(text));
  expect_stream(llama, {3 + 0xC3, 264, 3 + 0xC3, 3 + 0xA9, 3 + 0xA9, 264, 259, 264});
}

TEST(stream_decoder, holds_back_until_a_character_is_whole) {
  const Tokenizer t = byte_level();
  StreamDecoder stream(t);
  EXPECT_EQ(stream.add('a'), "a");
  EXPECT_EQ(stream.add(0xE2), "");
  EXPECT_EQ(stream.add(0x82), "");
  EXPECT_EQ(stream.add(0xAC), "€");
  EXPECT_EQ(stream.add(262), "");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace graft
