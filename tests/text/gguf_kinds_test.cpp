#include <gtest/gtest.h>

#include <cmath>

#include "graft/io/gguf.h"
#include "graft/text/tokenizer.h"
#include "io/gguf_builder.h"

// The kinds of tokenizers that a GGUF may hold, each from a file made here.
namespace graft {
namespace {

using Ids = std::vector<int32_t>;

constexpr uint32_t i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9, u32 = 4;

template <class T>
std::string items(uint32_t type, const std::vector<T>& values) {
  std::string out = bytes_of(type) + bytes_of<uint64_t>(values.size());
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, std::string>) {
      out += gguf_string(value);
    } else {
      out += bytes_of(value);
    }
  }
  return out;
}

/// A file with the keys that every kind of tokenizer has.
GgufBuilder vocabulary(const char* model, const std::vector<std::string>& tokens, const std::vector<int32_t>& types) {
  GgufBuilder file;
  return file.key("tokenizer.ggml.model", string, gguf_string(model))
      .key("tokenizer.ggml.tokens", array, items(string, tokens))
      .key("tokenizer.ggml.token_type", array, items(i32, types))
      .key("tokenizer.ggml.unknown_token_id", u32, bytes_of(uint32_t{0}));
}

Tokenizer read(const GgufBuilder& file) {
  const TemporaryFolder folder;
  folder.put("a.gguf", file.bytes());
  return Tokenizer::from_gguf(GgufFile(folder / "a.gguf"));
}

std::string fault(const GgufBuilder& file) {
  return error_of([&] { read(file); });
}

GgufBuilder sentencepiece() {
  return vocabulary("llama", {"<unk>", "<s>", "<x>", "<y>", "▁", "a", "b", "ab", "▁a", "<0x21>"}, {2, 3, 3, 4, 1, 1, 1, 1, 1, 6})
      .key("tokenizer.ggml.bos_token_id", u32, bytes_of(uint32_t{1}));
}

std::string scores(const std::vector<float>& values) { return items(f32, values); }

TEST(gguf_kinds, sentencepiece_merges_by_score) {
  GgufBuilder file = sentencepiece();
  file.key("tokenizer.ggml.scores", array, scores({0, 0, 0, 0, -9, -9, -9, -1, -2, 0}));
  const Tokenizer t = read(file);
  EXPECT_EQ(t.encode("ab"), (Ids{4, 7}));
  EXPECT_EQ(t.encode("a!?<x> a", {.add_special_tokens = true}), (Ids{1, 8, 9, 0, 2, 4, 8}));  // BOS is usual, as in llama.cpp
  EXPECT_EQ(t.decode(Ids{8, 9, 4, 7}), "a! ab");
  EXPECT_TRUE(t.is_special(0));
  EXPECT_FALSE(t.is_special(3));  // user-defined
  EXPECT_FALSE(t.is_special(9));  // a byte
  GgufBuilder other = sentencepiece();
  other.key("tokenizer.ggml.scores", array, scores({0, 0, 0, 0, -9, -9, -9, -2, -1, 0}))
      .key("tokenizer.ggml.add_space_prefix", boolean, std::string(1, '\0'))
      .key("tokenizer.ggml.add_bos_token", boolean, std::string(1, '\0'));
  const Tokenizer no_prefix = read(other);
  EXPECT_EQ(no_prefix.encode("ab ab", {.add_special_tokens = true}), (Ids{7, 8, 6}));
  EXPECT_EQ(no_prefix.decode(Ids{4, 7}), " ab");
}

TEST(gguf_kinds, phi3_special_tokens_take_the_space_behind_them) {
  GgufBuilder file = sentencepiece();
  file.key("tokenizer.ggml.scores", array, scores({0, 0, 0, 0, -9, -9, -9, -1, -2, 0}));
  EXPECT_EQ(read(file).encode("<x>  a"), (Ids{2, 4, 4, 8}));
  file.key("general.architecture", string, gguf_string("phi3"));
  EXPECT_EQ(read(file).encode("<x>  a<s> a"), (Ids{2, 8, 1, 4, 8}));  // but not <s>
}

TEST(gguf_kinds, sentencepiece_faults) {
  EXPECT_HAS(fault(sentencepiece()), "tokenizer.ggml.scores is missing");
  EXPECT_HAS(fault(sentencepiece().key("tokenizer.ggml.scores", array, scores({0, 1}))),
             "2 scores in tokenizer.ggml.scores for 10");
  EXPECT_HAS(fault(sentencepiece().key("tokenizer.ggml.scores", array, scores({NAN, 0, 0, 0, 0, 0, 0, 0, 0, 0}))),
             "the score nan");
  EXPECT_HAS(fault(sentencepiece().key("tokenizer.ggml.remove_extra_whitespaces", boolean, std::string(1, '\1'))),
             "remove_extra_whitespaces");
  EXPECT_HAS(fault(sentencepiece().key("tokenizer.ggml.precompiled_charsmap", array, items<uint8_t>(0, {1, 2}))),
             "precompiled_charsmap");
  EXPECT_HAS(fault(vocabulary("llama", {std::string(1025, 'a')}, {1}).key("tokenizer.ggml.scores", array, scores({0}))),
             "1025 bytes");
  EXPECT_HAS(fault(vocabulary("llama", {"a"}, {7})), "token 0 has the unknown type 7");
}

GgufBuilder bert(const std::string& word) {
  return vocabulary("bert", {"[UNK]", "[CLS]", "[SEP]", "[unused0]", "▁un", "able", word}, {3, 3, 3, 1, 1, 1, 1})
      .key("tokenizer.ggml.cls_token_id", u32, bytes_of(uint32_t{1}))
      .key("tokenizer.ggml.seperator_token_id", u32, bytes_of(uint32_t{2}));
}

TEST(gguf_kinds, bert_words_have_their_marks_back) {
  const Tokenizer t = read(bert("▁中"));
  EXPECT_EQ(t.id_to_token(5), "##able");
  EXPECT_EQ(t.id_to_token(3), "[unused0]");
  EXPECT_EQ(t.encode("ÜNABLE中 x", {.add_special_tokens = true}), (Ids{1, 4, 5, 6, 0, 2}));
  const PairEncoding pair = t.encode_pair("un", "un");
  EXPECT_EQ(pair.ids, (Ids{1, 4, 2, 4, 2}));
  EXPECT_EQ(pair.type_ids, (std::vector<uint8_t>{0, 0, 0, 1, 1}));
  EXPECT_EQ(t.decode(Ids{4, 5}), "unable");
  EXPECT_HAS(fault(bert("▁a\xE4\xB8")), "token 6 is not valid UTF-8");
  for (const char* cased : {"▁The", "É", "▁né"}) EXPECT_HAS(fault(bert(cased)), "use tokenizer.json") << cased;
}

}  // namespace
}  // namespace graft
