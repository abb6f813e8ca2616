#include <gtest/gtest.h>

#include <ctime>
#include <sstream>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/gguf.h"
#include "graft/text/tokenizer.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;

std::vector<std::string> split_at(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = text.find(separator); end != std::string::npos; end = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

Ids parse_ids(const std::string& line) {
  std::istringstream in(line);
  Ids ids;
  for (int32_t id; in >> id;) ids.push_back(id);
  return ids;
}

/// llama.cpp's texts beside a vocabulary, and the ids that the model's own Hugging Face tokenizer gave.
class gguf_vectors : public testing::TestWithParam<const char*> {};

TEST_P(gguf_vectors, ids_are_equal) {
  const auto file = vocabulary_file(GetParam());
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here (./setup.sh brings it)";
  const Tokenizer tokenizer = Tokenizer::from_gguf(GgufFile(file));
  auto texts = split_at(read_text(file.string() + ".inp"), "\n__ggml_vocab_test__\n");
  const auto lines = split_at(read_text(file.string() + ".out"), "\n");
  ASSERT_GT(texts.size(), 30u);
  ASSERT_GE(lines.size() + 1, texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Ids expected = i < lines.size() ? parse_ids(lines[i]) : Ids{};
    EXPECT_EQ(tokenizer.encode(texts[i]), expected) << GetParam() << " text " << i << ": " << texts[i];
    if (GetParam() != std::string("bert-bge")) EXPECT_EQ(tokenizer.decode(tokenizer.encode(texts[i])), texts[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(text, gguf_vectors,
                         testing::Values("gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-coder", "deepseek-llm", "falcon",
                                         "starcoder", "refact", "mpt", "command-r", "llama-spm", "phi-3", "gemma-4", "bert-bge"));

TEST(gguf_tokenizer, other_models_are_refused_by_name) {
  const std::pair<const char*, const char*> others[] = {{"nomic-bert-moe", "'t5'"},
                                                        {"gpt-neox", "tokenizer.ggml.pre is missing"}};
  for (const auto& [name, reason] : others) {
    const auto file = vocabulary_file(name);
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
    try {
      Tokenizer::from_gguf(GgufFile(file));
      ADD_FAILURE() << name;
    } catch (const RequestError& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
}

TEST(gguf_tokenizer, llama3_adds_bos_and_knows_its_special_tokens) {
  const auto file = vocabulary_file("llama-bpe");
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
  const Tokenizer t = Tokenizer::from_gguf(GgufFile(file));
  EXPECT_EQ(t.bos(), 128000);
  EXPECT_TRUE(t.adds_bos());
  EXPECT_FALSE(t.adds_eos());
  EXPECT_EQ(t.encode("<|eot_id|>", {.add_special_tokens = true}), (Ids{128000, 128009}));
  EXPECT_EQ(t.decode(Ids{128000, 9906}, true), "Hello");
}

TEST(gguf_tokenizer, smollm2_and_its_tokenizer_json) {
  const auto file = deps_folder() / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
  const Tokenizer t = Tokenizer::from_gguf(GgufFile(file));
  EXPECT_EQ(t.vocab_size(), 49152);
  EXPECT_EQ(t.bos(), 1);
  EXPECT_EQ(t.eos(), 2);
  EXPECT_EQ(t.pad(), 2);
  EXPECT_FALSE(t.adds_bos());
  EXPECT_EQ(t.encode("<|im_start|>user\n").front(), 1);
  const Tokenizer again = Tokenizer::from_json(t.to_json(), t.config());
  EXPECT_EQ(again.hash(), t.hash());
}

TEST(gguf_tokenizer, long_lines_are_quick) {
  const auto file = vocabulary_file("llama-bpe");
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
  const Tokenizer t = Tokenizer::from_gguf(GgufFile(file));
  std::string line;
  while (line.size() < 1'000'000) line += "word" + std::to_string(line.size() % 9973) + " and, ";
  for (const std::string& text : {line, std::string(131072, 'a'), std::string(131072, ' '), std::string(131072, '\n')}) {
    const std::clock_t start = std::clock();
    EXPECT_FALSE(t.encode(text).empty());
    EXPECT_LT(std::clock() - start,
              3 * CLOCKS_PER_SEC);  // the bar of 1 s is the oracle script's; this binary may be built with -O1
  }
}

}  // namespace
}  // namespace graft
