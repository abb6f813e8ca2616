// What graft's tokenizer makes of texts, for the oracle script (tokenizer_oracle.py) to compare with `tokenizers`.
//   tokenizer_dump json FILE           tokenizer.json's text that graft builds (FILE: .gguf or tokenizer.json)
//   tokenizer_dump config FILE         tokenizer_config.json beside it
//   tokenizer_dump encode FILE         a line {"text", "add_special", "parse_special", "literal"} in; a line {"ids", "offsets",
//   "text", "skipped"}
//                                      or {"error"} out: ids, byte offsets, and both decodings
//   tokenizer_dump decode FILE         a line of ids in; {"text", "skipped", "stream"} out
//   tokenizer_dump pair FILE           a line {"a", "b"} in, b perhaps null; {"ids", "type_ids"} out
//   tokenizer_dump time FILE PASSES    lines as for encode; the processor's seconds of the fastest pass over all of them
#include <ctime>
#include <iostream>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/gguf.h"
#include "graft/text/tokenizer.h"

using namespace graft;

namespace {

Tokenizer load(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") return Tokenizer::from_gguf(GgufFile(path));
  const auto config = path.parent_path() / "tokenizer_config.json";
  return Tokenizer::from_json(read_text(path), std::filesystem::exists(config) ? read_json(config) : Json());
}

struct Request {
  std::string text;
  EncodeOptions options;
  std::vector<TextRange> literal;
};

Request parse_request(const std::string& line) {
  const Json json = parse_json(line, "stdin");
  Request request{json.at("text").get<std::string>(), {}, {}};
  request.options.add_special_tokens = json.value("add_special", false);
  request.options.parse_special = json.value("parse_special", true);
  if (json.contains("literal"))
    for (const Json& range : json["literal"]) request.literal.push_back({range[0].get<size_t>(), range[1].get<size_t>()});
  return request;
}

void encode(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    Json out;
    try {
      Request request = parse_request(line);
      request.options.literal = request.literal;
      const Encoding encoding = tokenizer.encode_with_offsets(request.text, request.options);
      out["ids"] = encoding.ids;
      out["offsets"] = Json::array();
      for (const TextRange& range : encoding.offsets) out["offsets"].push_back(Json::array({range.begin, range.end}));
      out["text"] = tokenizer.decode(encoding.ids, false);
      out["skipped"] = tokenizer.decode(encoding.ids, true);
    } catch (const Error& e) {
      out = {{"error", e.what()}};
    }
    std::cout << to_line(out) << "\n";
  }
}

void decode(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto ids = parse_json(line, "stdin").get<std::vector<int32_t>>();
    StreamDecoder stream(tokenizer, false);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.add(id);
    streamed += stream.finish();
    std::cout << to_line({{"text", tokenizer.decode(ids, false)}, {"skipped", tokenizer.decode(ids, true)}, {"stream", streamed}})
              << "\n";
  }
}

void pair(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const Json json = parse_json(line, "stdin");
    const auto a = json.at("a").get<std::string>();
    const PairEncoding both =
        json.at("b").is_null() ? tokenizer.encode_pair(a) : tokenizer.encode_pair(a, json.at("b").get<std::string>());
    std::cout << to_line({{"ids", both.ids}, {"type_ids", both.type_ids}}) << "\n";
  }
}

void time(const Tokenizer& tokenizer, int passes) {
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) texts.push_back(parse_request(line).text);
  double best = 1e30;
  size_t tokens = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const std::clock_t start = std::clock();
    tokens = 0;
    for (const std::string& text : texts) tokens += tokenizer.encode(text).size();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::cout << to_line({{"seconds", best}, {"tokens", tokens}}) << "\n";
}

int run(const std::string& mode, const std::string& file, int passes) {
  const Tokenizer tokenizer = load(file);
  if (mode == "json") {
    std::cout << tokenizer.to_json();
  } else if (mode == "config") {
    std::cout << to_line(tokenizer.config()) << "\n";
  } else if (mode == "encode") {
    encode(tokenizer);
  } else if (mode == "decode") {
    decode(tokenizer);
  } else if (mode == "pair") {
    pair(tokenizer);
  } else if (mode == "time") {
    time(tokenizer, passes);
  } else {
    fail("unknown mode '{}'", mode);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    check(argc == 3 || (argc == 4 && std::string(argv[1]) == "time"),
          "usage: tokenizer_dump json|config|encode|decode|pair|time FILE [PASSES]");
    return run(argv[1], argv[2], argc == 4 ? std::stoi(argv[3]) : 1);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
