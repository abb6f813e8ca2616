#include <gtest/gtest.h>

#include "graft/text/tokenizer.h"
#include "text/tokenizer_samples.h"

namespace graft {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer byte_level() { return Tokenizer::from_json(byte_level_sample().dump()); }

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
