#include "graft/text/charsmap.h"

#include <gtest/gtest.h>

#include "graft/core/error.h"
#include "graft/text/normalizer.h"
#include "text/charsmap_builder.h"

namespace graft {
namespace {

using namespace std::string_literals;

CharsmapBuilder sample() {
  return CharsmapBuilder().add("a", "xyz").add("b", "").add("e\u0301", "E").add("cd", "X").add("\ufb03", "ffi").add("c", "k");
}

AlignedText normalized(const std::string& bytes, std::string_view text) {
  const TokenizerJson json{{"type", "Precompiled"}, {"precompiled_charsmap", base64_text(bytes)}};
  AlignedText result(text, 0);
  Normalizer(json).apply(result);
  return result;
}

// Expected values here and below: pip tokenizers 0.23.3.
TEST(charsmap, short_clusters_then_characters) {
  const std::pair<const char*, const char*> cases[] = {
      {"a b c", "xyz  k"},
      {"cd", "kd"},  // two clusters
      {"e\u0301 e", "E e"},
      {"a\u0301\u0301b", "xyz"},                         // the shortest string counts for all of a cluster
      {"a\u0301\u0301\u0301", "xyz\u0301\u0301\u0301"},  // but not of a long one
      {"\ufb03z", "ffiz"},
      {"\r\na", "\r\nxyz"},
      {"a\u1ad0", "xyz"},                            // a mark that is newer than utf8proc
      {"\U000113d1a\u0301", "\U000113d1xyz\u0301"},  // a prefix that is: one long cluster
      {"\U00011a3aa\u0301", "\U00011a3axyz"},        // and one that is none
      {"b", ""}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(normalized(sample().bytes(), text).text(), expected) << text;
}

TEST(charsmap, each_new_character_comes_from_an_old_one) {
  const std::string text = "xabe\u0301y";  // a becomes three, b none, two become one
  const AlignedText result = normalized(sample().bytes(), text);
  ASSERT_EQ(result.text(), "xxyzEy");
  const auto source = [&](size_t begin, size_t end) {
    const TextRange range = result.source(begin, end);
    return std::pair(range.begin, range.end);
  };
  EXPECT_EQ(source(1, 4), std::pair(size_t{1}, size_t{2}));
  EXPECT_EQ(source(4, 5), std::pair(size_t{3}, size_t{4}));
  EXPECT_EQ(source(5, 6), std::pair(size_t{6}, size_t{7}));
}

std::string fault(const std::string& bytes) {
  try {
    normalized(bytes, "cb a\u4e2d");
    return "";
  } catch (const RequestError& e) {
    return e.what();
  }
}

TEST(charsmap, trusts_no_byte) {
  const std::string good = sample().bytes();
  EXPECT_EQ(fault(good), "");
  EXPECT_NE(fault("abc").find("too short"), std::string::npos);
  EXPECT_NE(fault("\x06\0\0\0abcdef"s).find("cannot have 6 of its 10 bytes"), std::string::npos);
  EXPECT_NE(fault("\0\0\0\0"s).find("cannot have 0"), std::string::npos);
  EXPECT_NE(fault("\xff\xff\xff\xff"s + good.substr(4)).find("cannot have 4294967295"), std::string::npos);
  EXPECT_NE(fault(good + "\xff").find("not valid UTF-8"), std::string::npos);
  CharsmapBuilder short_trie = sample(), no_text = sample(), far = sample();
  short_trie.units.resize(300);
  EXPECT_NE(fault(short_trie.bytes()).find("outside its trie of 300 units"), std::string::npos);
  no_text.replacements.clear();
  EXPECT_NE(fault(no_text.bytes()).find("outside its 0 bytes of replacements"), std::string::npos);
  far.units[0] |= 0xFFFFFE00;
  EXPECT_NE(fault(far.bytes()).find("outside its trie"), std::string::npos);
}

TEST(charsmap, base64) {
  for (const std::string& bytes : {""s, "f"s, "fo"s, "foo"s, "foob"s, "\0\xff\x80"s})
    EXPECT_EQ(base64_bytes(base64_text(bytes), ""), bytes);
  EXPECT_EQ(base64_text("foob"), "Zm9vYg==");
  for (const char* bad : {"Zg", "Z===", "Zg=a", "====", "Zm9v!m9v", "Zg==Zg=="})
    EXPECT_THROW(base64_bytes(bad, "x"), RequestError) << bad;
  EXPECT_THROW(Normalizer(TokenizerJson{{"type", "Precompiled"}}), RequestError);
}

}  // namespace
}  // namespace graft
