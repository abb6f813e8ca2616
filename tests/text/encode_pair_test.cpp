#include <gtest/gtest.h>

#include "graft/text/tokenizer.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;
using Types = std::vector<uint8_t>;
using Ranges = std::vector<std::pair<size_t, size_t>>;

Tokenizer with_post_processor(const TokenizerJson& json) {
  TokenizerJson file = wordpiece_sample();
  file["post_processor"] = json;
  return Tokenizer::from_json(file.dump());
}

TokenizerJson cls_and_sep(const char* type) {
  return {{"type", type}, {"sep", TokenizerJson::array({"[SEP]", 3})}, {"cls", TokenizerJson::array({"[CLS]", 2})}};
}

// Expected values: pip tokenizers 0.23.3.
void expect_pair(const Tokenizer& t, const Ids& single, const Types& single_types, const Ids& pair, const Types& pair_types) {
  EXPECT_EQ(t.encode_pair("hello world").ids, single);
  EXPECT_EQ(t.encode_pair("hello world").type_ids, single_types);
  EXPECT_EQ(t.encode("hello world", {.add_special_tokens = true}), single);
  EXPECT_EQ(t.encode_pair("hello world", "unaffable").ids, pair);
  EXPECT_EQ(t.encode_pair("hello world", "unaffable").type_ids, pair_types);
}

TEST(encode_pair, bert) {
  expect_pair(with_post_processor(cls_and_sep("BertProcessing")), {2, 8, 9, 3}, {0, 0, 0, 0}, {2, 8, 9, 3, 5, 6, 7, 3},
              {0, 0, 0, 0, 1, 1, 1, 1});
}

TEST(encode_pair, roberta) {
  expect_pair(with_post_processor(cls_and_sep("RobertaProcessing")), {2, 8, 9, 3}, {0, 0, 0, 0}, {2, 8, 9, 3, 3, 5, 6, 7, 3},
              Types(9, 0));
}

TEST(encode_pair, without_a_post_processor) {
  expect_pair(with_post_processor(nullptr), {8, 9}, {0, 0}, {8, 9, 5, 6, 7}, {0, 0, 1, 1, 1});
}

TokenizerJson odd_template() {
  return TokenizerJson::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 7}}, {"Sequence": {"id": "A", "type_id": 5}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "pair": [{"SpecialToken": {"id": "[SEP]", "type_id": 4}}, {"Sequence": {"id": "B", "type_id": 5}},
               {"SpecialToken": {"id": "[CLS]", "type_id": 6}}, {"Sequence": {"id": "A", "type_id": 255}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                         "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}})");
}

TEST(encode_pair, as_the_template_says) {
  expect_pair(with_post_processor(odd_template()), {2, 8, 9, 3}, {7, 5, 5, 0}, {3, 5, 6, 7, 2, 8, 9}, {4, 5, 5, 5, 6, 255, 255});
}

TEST(encode_pair, joins_ids_that_the_caller_cut) {
  const Tokenizer t = with_post_processor(cls_and_sep("BertProcessing"));
  const PairEncoding both = t.join_pair(Ids{8}, Ids{5, 6});
  EXPECT_EQ(both.ids, (Ids{2, 8, 3, 5, 6, 3}));
  EXPECT_EQ(both.type_ids, (Types{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(t.join_pair(Ids{8}, Ids{}).ids, (Ids{2, 8, 3, 3}));
  EXPECT_EQ(t.join_pair(Ids{}).ids, (Ids{2, 3}));
}

TEST(encode_pair, what_the_config_adds_goes_around_both) {
  const Json config{{"bos_token", "<|s|>"}, {"eos_token", "<|e|>"}, {"add_bos_token", true}, {"add_eos_token", true}};
  const PairEncoding both = Tokenizer::from_json(byte_level_sample().dump(), config).encode_pair("hello", "hell");
  EXPECT_EQ(both.ids, (Ids{261, 259, 262, 261, 258, 262}));
  EXPECT_EQ(both.type_ids, (Types{0, 0, 0, 1, 1, 1}));
}

TEST(encode_pair, refuses_templates_it_cannot_do) {
  const std::pair<const char*, TokenizerJson> bad[] = {{"/pair/1/Sequence/type_id", 256},
                                                       {"/pair/1/Sequence/id", "C"},
                                                       {"/pair/1/Sequence/id", "A"},
                                                       {"/pair/0/SpecialToken/id", "[X]"},
                                                       {"/single/1/Sequence/id", "B"},
                                                       {"/special_tokens/[CLS]/ids/0", 1000},
                                                       {"/special_tokens/[CLS]/ids", std::vector<int>(70000, 2)}};
  for (const auto& [key, value] : bad) {
    TokenizerJson json = odd_template();
    json[TokenizerJson::json_pointer(key)] = value;
    EXPECT_THROW(with_post_processor(json), RequestError) << key;
  }
  const auto bert = cls_and_sep("BertProcessing");
  EXPECT_THROW(with_post_processor({{"type", "Sequence"}, {"processors", TokenizerJson::array({bert, bert})}}), RequestError);
}

Ranges trimmed(bool add_prefix_space, std::string_view text) {
  TokenizerJson json = byte_level_sample();
  json["added_tokens"][1]["lstrip"] = true;
  json["pre_tokenizer"]["add_prefix_space"] = add_prefix_space;
  json["post_processor"] = cls_and_sep("RobertaProcessing");
  json["post_processor"]["add_prefix_space"] = add_prefix_space;
  Ranges out;
  for (const TextRange& range : Tokenizer::from_json(json.dump()).encode_with_offsets(text).offsets)
    out.emplace_back(range.begin, range.end);
  return out;
}

TEST(encode_pair, roberta_trims_offsets) {
  EXPECT_EQ(trimmed(false, " hello hello"), (Ranges{{1, 6}, {7, 12}}));
  EXPECT_EQ(trimmed(false, "hello  \n<|e|>"), (Ranges{{0, 5}, {8, 13}}));  // the token swallowed the white space before it
  EXPECT_EQ(trimmed(false, "hello\n"), (Ranges{{0, 5}, {5, 6}}));          // but a line break is no space
  EXPECT_EQ(trimmed(true, "hello hello"), (Ranges{{0, 5}, {6, 11}}));
  EXPECT_EQ(trimmed(true, " hello"), (Ranges{{0, 6}}));  // the first space counts as put there
}

TEST(encode_pair, named_tokens_are_special) {
  TokenizerJson json = wordpiece_sample();
  json["added_tokens"] = TokenizerJson::array();
  const Json config{{"cls_token", "[CLS]"},
                    {"sep_token", {{"content", "[SEP]"}}},
                    {"mask_token", "[MASK]"},
                    {"unk_token", "[UNK]"},
                    {"pad_token", "[PAD]"}};
  const Tokenizer plain = Tokenizer::from_json(json.dump()), t = Tokenizer::from_json(json.dump(), config);
  EXPECT_EQ(plain.encode("[MASK]"), (Ids{1, 1, 1}));
  EXPECT_EQ(t.encode("[MASK]hello[SEP]"), (Ids{4, 8, 3}));
  EXPECT_EQ(t.decode(Ids{2, 8, 1, 4, 3, 0}, true), "hello");
  for (int32_t id = 0; id < 5; ++id) EXPECT_TRUE(t.is_special(id) && !plain.is_special(id)) << id;
  EXPECT_EQ(t.pad(), 0);
}

}  // namespace
}  // namespace graft
