#include <gtest/gtest.h>

#include "graft/core/error.h"
#include "graft/text/tokenizer.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer byte_level() { return Tokenizer::from_json(byte_level_sample().dump()); }

TEST(added_tokens, special_tokens_can_be_read_as_text) {
  const Tokenizer t = byte_level();
  const Ids as_text = t.encode("<|s|>", {.parse_special = false});
  EXPECT_EQ(as_text, (Ids{'<', '|', 's', '|', '>'}));
  EXPECT_EQ(t.encode("<plain><|s|>", {.parse_special = false}).front(), 263);  // not special: found all the same
}

TEST(added_tokens, no_special_token_where_it_touches_a_literal_range) {
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

TEST(added_tokens, text_is_tokenized_jointly_across_a_literal_ranges_borders) {
  const Tokenizer t = byte_level();
  const TextRange range[] = {{3, 5}};
  EXPECT_EQ(t.encode("hello", {.literal = range}), (Ids{259}));
  const TextRange wrong[] = {{3, 5}, {4, 6}};
  EXPECT_THROW(t.encode("hello!", {.literal = wrong}), Error);
}

TEST(added_tokens, a_token_begun_by_the_user_does_not_hide_the_templates) {
  TokenizerJson json = byte_level_sample();
  json["added_tokens"].push_back(added_token(264, "x<|e|>", true));
  const Tokenizer t = Tokenizer::from_json(json.dump());
  EXPECT_EQ(t.encode("x<|e|>"), (Ids{264}));  // the longer one, from further left
  const TextRange user[] = {{0, 1}};
  EXPECT_EQ(t.encode("x<|e|>", {.literal = user}), (Ids{'x', 262}));
}

struct FlagCase {
  const char* flags;
  const char* text;
  Ids expected;
};

TEST(added_tokens, flags_of_added_tokens) {
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

TEST(added_tokens, the_longest_added_token_wins) {
  TokenizerJson json = byte_level_sample();
  json["added_tokens"].push_back(added_token(264, "<|e|", false));
  json["added_tokens"].push_back(added_token(265, "|e|>!", false));
  EXPECT_EQ(Tokenizer::from_json(json.dump()).encode("<|e|>!<|e|"), (Ids{262, '!', 264}));
}

}  // namespace
}  // namespace graft
