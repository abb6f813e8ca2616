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
  const std::pair<std::string, const char*> bad[] = {
      {"", "not valid JSON"},
      {"[]", "must be an object"},
      {"{}", "'model' is missing"},
      {with("/model/type", "\"Unigram\""), "'vocab' must be a list"},
      {with("/model/type", "\"WordLevel\""), "'unk_token' is missing"},
      {with("/model/type", "\"Other\""), "does not do the model 'Other'"},
      {with("/normalizer", R"({"type": "Precompiled"})"), "'precompiled_charsmap'"},
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

}  // namespace
}  // namespace graft
