#include "graft/text/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "graft/core/error.h"
#include "graft/text/json_fields.h"
#include "io/temporary.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

Tokenizer read_back(const TemporaryFolder& folder, const std::vector<GgufKey>& keys) {
  GgufWriter(folder / "t.gguf", keys, {}).finish();
  return Tokenizer::from_gguf(GgufFile(folder / "t.gguf"));
}

/// llama.cpp's own vocabularies, by way of the tokenizer.json that they come from.
class gguf_keys : public testing::TestWithParam<const char*> {};

TEST_P(gguf_keys, what_is_written_is_read_back) {
  const auto file = vocabulary_file(GetParam());
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here (./setup.sh brings it)";
  const Tokenizer given = Tokenizer::from_gguf(GgufFile(file));
  const TemporaryFolder folder;
  const Tokenizer read = read_back(folder, gguf_tokenizer_keys(given, given.vocab_size() + 3));
  EXPECT_EQ(read.vocab_size(), given.vocab_size() + 3);
  check_same_ids(given, read);
  for (int32_t id = 0; id < given.vocab_size(); ++id) {
    ASSERT_EQ(read.id_to_token(id), given.id_to_token(id)) << id;
    ASSERT_EQ(read.is_special(id), given.is_special(id)) << id;
  }
  EXPECT_EQ(read.bos(), given.bos());
  EXPECT_EQ(read.eos(), given.eos());
  EXPECT_EQ(read.adds_bos(), given.adds_bos());
  const auto merges = [](const Tokenizer& tokenizer) { return TokenizerJson::parse(tokenizer.to_json())["model"]["merges"]; };
  EXPECT_EQ(merges(read), merges(given));
}

INSTANTIATE_TEST_SUITE_P(text, gguf_keys, testing::Values("gpt-2", "llama-spm"));

TEST(gguf_tokenizer_keys, names_of_pretokenizers_are_found) {
  for (const char* name : {"llama-bpe", "falcon", "refact"}) {
    const auto file = vocabulary_file(name);
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
    const auto keys = gguf_tokenizer_keys(Tokenizer::from_gguf(GgufFile(file)), 1 << 20);
    const std::string expected = name == std::string("refact") ? "smollm" : name;  // the first of those that cut alike
    EXPECT_EQ(keys[1].bytes, gguf_key("", expected).bytes) << name;
  }
}

TEST(gguf_tokenizer_keys, small_ones_are_read_back) {
  const TemporaryFolder folder;
  const Tokenizer bytes = Tokenizer::from_json(byte_level_sample().dump(), {{"bos_token", "<|s|>"}, {"eos_token", "<|e|>"}});
  check_same_ids(bytes, read_back(folder, gguf_tokenizer_keys(bytes, 264)));
  TokenizerJson json = llama2_sample();
  json["model"]["merges"].push_back("▁ hi");
  const Tokenizer spaced = Tokenizer::from_json(json.dump(), {{"bos_token", "<s>"}});
  check_same_ids(spaced, read_back(folder, gguf_tokenizer_keys(spaced, spaced.vocab_size())));
}

TEST(gguf_tokenizer_keys, token_types_say_what_tokens_are) {
  const TemporaryFolder folder;
  const Tokenizer bytes = Tokenizer::from_json(byte_level_sample().dump());
  GgufWriter(folder / "t.gguf", gguf_tokenizer_keys(bytes, 265), {}).finish();
  const GgufFile file(folder / "t.gguf");
  const auto& types = file.array("tokenizer.ggml.token_type")->integers;
  EXPECT_EQ(types[0], 1);                                                                        // normal
  EXPECT_EQ(std::vector(types.begin() + 261, types.end()), (std::vector<int64_t>{3, 3, 4, 5}));  // control, user-defined, unused
  EXPECT_EQ(file.array("tokenizer.ggml.tokens")->strings.back(), "[PAD264]");
}

TEST(gguf_tokenizer_keys, what_llama_cpp_does_not_have_is_refused) {
  const auto refused = [](const TokenizerJson& json, int64_t rows = 1000) {
    return error_of([&] { gguf_tokenizer_keys(Tokenizer::from_json(json.dump()), rows); });
  };
  TokenizerJson cut = byte_level_sample();
  cut["pre_tokenizer"] =
      TokenizerJson::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "x+"},
      "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  EXPECT_TRUE(has(refused(cut), "graft knows none for this tokenizer.json's pre_tokenizer"));
  TokenizerJson lower = byte_level_sample();
  lower["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_TRUE(has(refused(lower), "pre_tokenizer"));
  EXPECT_TRUE(has(refused(llama2_sample()), "do not follow from scores"));  // "▁" and "hi" would make "▁hi" too
  EXPECT_TRUE(has(refused(byte_level_sample(), 200), "264 tokens, the embedding 200 rows"));
  EXPECT_TRUE(
      has(refused(TokenizerJson::parse(R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "u": 1}, "unk_token": "u"}})")),
          "WordLevel"));
  const Tokenizer with = Tokenizer::from_json(byte_level_sample().dump()), without = Tokenizer::from_json(lower.dump());
  EXPECT_TRUE(has(error_of([&] { check_same_ids(with, without); }), "decode 'Hello, World!"));
}

}  // namespace
}  // namespace graft
