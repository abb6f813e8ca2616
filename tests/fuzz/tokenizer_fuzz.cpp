// Bytes as tokenizer.json: it is refused with a RequestError, or encodes and decodes some texts.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "graft/core/error.h"
#include "graft/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace graft;
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(std::string_view(reinterpret_cast<const char*>(data), size));
    const std::string text =
        " Hello <|s|> w\u00f6rld's  e\u0301\u0316 12345\r\n\u4e2d\u6587 \U0001F600\u3000 "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    const TextRange literal[] = {{3, 12}};
    for (const bool parse_special : {true, false}) {
      const Encoding encoding = tokenizer.encode_with_offsets(text, {true, parse_special, literal});
      for (const TextRange& range : encoding.offsets)
        if (range.begin > range.end || range.end > text.size()) __builtin_trap();
      (void)tokenizer.decode(encoding.ids, parse_special);
      StreamDecoder stream(tokenizer, parse_special);
      for (const int32_t id : encoding.ids) (void)stream.add(id);
      (void)stream.finish();
    }
    const PairEncoding both = tokenizer.encode_pair(text, "hello");
    if (both.ids.size() != both.type_ids.size()) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
